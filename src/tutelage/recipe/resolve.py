"""A recipe resolved: every run it asks for, with everything the run is, and what identifies it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from tutelage.errors import UserError, unknown
from tutelage.recipe.config import Recipe
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.evaluation import refuse_unfit_evaluation
from tutelage.recipe.fold import Fold
from tutelage.recipe.groups import groups_of, taught
from tutelage.recipe.instantiate import build
from tutelage.recipe.keys import Labelled, Train
from tutelage.recipe.labelled import labelled_ids, labelled_options, labels_of, refuse_labelled
from tutelage.recipe.names import path_part
from tutelage.recipe.networks import content_of

__all__ = ["RunSpec", "resolve"]

NUMBERS = 3  # of the results; raise it when the same recipe and seed would give other numbers


@dataclass(frozen=True, eq=False)
class RunSpec:
    """One run: a network to train, or to take from an earlier run, and everything its numbers depend on.

    Args:
        stage: name of the stage.
        fold: number of the fold.
        fold_name: its name, fit for a folder.
        seed: of the run.
        fingerprint: hash of everything the numbers depend on (but the machine).
        data: what decides the samples.
        modality: that the network reads.
        crop: larger inputs are cut to their centre; None for all of them.
        network: its description.
        content: of the files that the network's description names.
        distiller: descriptions of the objectives, by name.
        train: how it is trained.
        classes: names of the classes whose samples are used; none for all.
        train_classes: names of the classes it is taught and chosen on; none for all.
        group: the name of these classes, where they are a group; or empty.
        groups: names of the classes of each group that is evaluated apart.
        labelled: whose labels it may see; None for all there are.
        shown: whether it is shown the labelled training samples alone, or all of them.
        unlabelled: the labels of what it is shown are hidden, too.
        run: folder of an earlier run that is taken as it is.
        trust: its checkpoint may name classes of other packages, which are imported.
        teacher_epoch: which checkpoint of the teachers.
        teachers: name -> run that it learns from.
        start: run whose network it starts from, or None.
    """

    stage: str
    fold: int
    fold_name: str
    seed: int
    fingerprint: str
    data: DataSpec
    modality: str
    crop: int | None
    network: Mapping[str, Any]
    content: str
    distiller: Mapping[str, Mapping[str, Any]]
    train: Train
    classes: tuple[str, ...]
    train_classes: tuple[str, ...]
    group: str
    groups: Mapping[str, tuple[str, ...]]
    labelled: Labelled | None
    shown: Literal["labelled", "all"]
    unlabelled: bool
    run: str | None
    trust: bool
    teacher_epoch: Literal["best", "last"]
    teachers: Mapping[str, "RunSpec"]
    start: "RunSpec | None"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RunSpec) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)

    @property
    def _identity(self) -> tuple[Any, ...]:
        return self.stage, self.fold, self.seed, self.fingerprint, self.blind

    @property
    def blind(self) -> bool:
        """Whether the test split stays unread."""
        return self.data.protocol == "blind"

    @property
    def key(self) -> tuple[str, bool]:
        """What identifies the network: its fingerprint, and whether the test split stays unread."""
        return self.fingerprint, self.blind

    @property
    def place(self) -> str:
        """Where it stands in the recipe, for errors."""
        return f"stages.{self.stage}"

    @property
    def folder(self) -> Path:
        """The run folder, inside the experiment's folder."""
        return Path(
            path_part(self.fold_name),
            path_part(self.stage),
            f"seed-{self.seed}-{self.fingerprint[:10]}",
        )

    @property
    def needs(self) -> list["RunSpec"]:
        """Runs that must be complete before this one can start."""
        return [*self.teachers.values(), *([self.start] if self.start else [])]

    @property
    def taken(self) -> tuple[str, ...]:
        """Names of the classes whose samples it is taught; none for all."""
        return self.train_classes or self.classes

    def blinded(self) -> "RunSpec":
        """Return the same run without its test split."""
        return replace(self, data=replace(self.data, protocol="blind"))

    def options(self) -> dict[str, Any]:
        """Return what is not as it would be without a word, of what it is shown."""
        stated = {
            "train_classes": list(self.train_classes), **labelled_options(self.labelled, self.shown),
            "unlabelled": self.unlabelled,
        }  # fmt: skip
        return {key: value for key, value in stated.items() if value}


def resolve(recipe: Recipe, fold: int, data: Fold, *, trust: bool = False) -> list[RunSpec]:
    """Return every run of one fold, each after those it needs.

    Args:
        recipe: what to do.
        fold: its number.
        data: the fold.
        trust: checkpoints of runs given by path may name classes of other packages; as ``trust: true`` at every
            stage. No fingerprint depends on it.

    Raises:
        UserError: something in the recipe does not fit the data.
    """
    _refuse_unfit(recipe, data)
    resolver = _Resolver(recipe, fold, data, trust)
    for seed in recipe.seeds:
        for name in recipe.stages:
            resolver.spec(name, seed)
    return list(resolver.specs.values())


class _Resolver:
    """Resolves the stages of a recipe on one fold, each with a seed once."""

    def __init__(self, recipe: Recipe, fold: int, data: Fold, trust: bool) -> None:
        self.recipe, self.fold, self.data, self.trust = recipe, fold, data, trust
        self.source = DataSpec.of(recipe)
        self.groups = groups_of(recipe, data.dataset.class_names)
        self.specs: dict[tuple[str, int], RunSpec] = {}

    def spec(self, name: str, seed: int) -> RunSpec:
        """Return the run of a stage; those it needs are resolved first."""
        stage = self.recipe.stages[name]
        own = seed if stage.seed is None else stage.seed
        own = 0 if stage.stored else own  # nothing is drawn
        if (name, own) not in self.specs:
            teachers = {teacher: self.spec(teacher, own) for teacher in stage.teachers}
            start = self.spec(stage.start_from, own) if stage.start_from else None
            self.specs[name, own] = self._made(name, own, teachers, start)
        return self.specs[name, own]

    def _made(
        self, name: str, seed: int, teachers: Mapping[str, RunSpec], start: RunSpec | None
    ) -> RunSpec:
        recipe, stage, data = self.recipe, self.recipe.stages[name], self.data
        network, train = recipe.network_description(name), recipe.train_settings(name)
        labelled, shown = labels_of(recipe, name, data)
        if shown == "labelled" and stage.shots is None and train.epoch_samples is None:
            # As many steps as those who are shown everything: what comes again is labelled, not the time.
            train = train.model_copy(update={"epoch_samples": len(data.split.train)})
        modality = name if stage.stored else stage.input or data.dataset.modality
        refuse_stale(
            train, [t for t in teachers if recipe.stages[t].stored], f"stages.{name}.train"
        )
        data.check_input(modality, f"stages.{name}.input")
        for augmented in train.augment:
            data.check_input(augmented, f"stages.{name}.train.augment")
        if "encoder" in network and data.encoder(modality) is not None:
            place = f"stages.{name}.network.encoder"
            raise UserError(f"{place}: follows from the data; remove it from the recipe")
        content = content_of(network, f"stages.{name}.network")
        if stage.quantise is not None:
            network = {"type": "Quantised", "network": network}
        spec = RunSpec(
            name, self.fold, data.split.name, seed, "", self.source, modality,
            stage.crop or recipe.crop, network, content,
            recipe.objectives(name), train, tuple(stage.classes),
            taught(recipe, name, data.dataset.class_names),
            stage.train_classes if isinstance(stage.train_classes, str) else "", self.groups,
            labelled, shown, stage.unlabelled, stage.run, stage.trust or self.trust, stage.teacher_epoch,
            teachers, start,
        )  # fmt: skip
        _refuse_short(spec, data)
        _refuse_unsimulated(spec)
        return replace(spec, fingerprint=_fingerprint(spec, data))


def _refuse_unfit(recipe: Recipe, data: Fold) -> None:
    """Refuse groups, labelled samples, stages and other data sets that do not fit.

    Raises:
        UserError: a name that is no class or group, too few samples, or labels of a test side that are not hidden.
    """
    names = data.dataset.class_names
    quantities = {"accuracy", "harmonic_mean", "mean", *groups_of(recipe, names), *recipe.transfer}
    refuse_unfit_evaluation(recipe, data)
    for target, description in recipe.transfer.items():
        build("tutelage.data", description, f"transfer.{target}", method="load")
    for name, stage in recipe.stages.items():
        place = f"stages.{name}"
        for wanted in stage.classes:
            if wanted not in names:
                raise unknown(f"{place}.classes", "class", wanted, names)
        refuse_labelled(recipe, name, taught(recipe, name, names) or stage.classes or names, data)
        for quantity in stage.published:
            if quantity not in quantities:
                raise unknown(f"{place}.published", "quantity", quantity, quantities)
        if data.split.transductive and stage.run is None and not stage.unlabelled:
            raise UserError(
                f"{place}.unlabelled: found false, but split {data.split.name!r} trains on test samples, whose "
                "labels must be hidden (allowed: true)"
            )


def refuse_stale(train: Train, stored: Sequence[str], place: str) -> None:
    """Refuse to ask teachers anew of whom there are answers alone.

    Raises:
        UserError: they would have to run, or to see changed inputs.
    """
    if not stored:
        return
    who = f"teacher {stored[0]!r} has said what it has to say (stored)"
    if train.teachers == "live":
        raise UserError(f"{place}.teachers: live, but {who} (allowed: auto, cached)")
    if train.augment_teachers and (train.augment or train.mix is not None):
        raise UserError(
            f"{place}.augment_teachers: true, but {who}, of the samples as they are (allowed: false)"
        )


def _refuse_short(spec: RunSpec, data: Fold) -> None:
    """Refuse a batch that is larger than all training samples, or than an epoch."""
    names, labels, train = data.dataset.class_names, data.dataset.labels, data.split.train
    numbers = [names.index(name) for name in spec.taken or names]
    if spec.shown == "labelled":
        seed = [spec.seed, spec.fold]
        train = labelled_ids(spec.labelled, data.dataset, train, seed, numbers)
    elif spec.taken:
        train = train[np.isin(labels[train], numbers)]
    count = spec.train.epoch_samples or len(train)
    if spec.run is None and spec.train.epochs and spec.train.batch_size > count:
        what = "samples of an epoch" if spec.train.epoch_samples else "training samples"
        raise UserError(
            f"{spec.place}.train.batch_size: found {spec.train.batch_size}, which is more than the {count} "
            f"{what} (allowed: 2 to {count})"
        )


def _refuse_unsimulated(spec: RunSpec) -> None:
    """Refuse a training in which int8 would not be simulated as a device computes it."""
    if spec.network["type"] != "Quantised" or spec.run is not None:
        return
    if not spec.train.epochs:
        raise UserError(
            f"{spec.place}.quantise: nothing is trained, so no range of an activation is learned "
            "(allowed: train.epochs of 1 or more)"
        )
    if spec.train.precision not in ("32-true", "auto"):
        raise UserError(
            f"{spec.place}.quantise: int8 is simulated in 32-true; found train.precision {spec.train.precision}"
        )


def _fingerprint(spec: RunSpec, data: Fold) -> str:
    parts: dict[str, Any] = {
        "numbers": NUMBERS,
        "data": data.dataset.fingerprint,
        "split": data.hash,
        "input": [spec.modality, data.key(spec.modality)],
        "network": spec.network,
        "distiller": spec.distiller,
        # Without defaults: a new option that is not used must not make every earlier run unfindable.
        "train": spec.train.model_dump(exclude_defaults=True),
        # A blind run is the honest one without its test evaluation.
        "protocol": "honest" if spec.blind else spec.data.protocol,
        "seed": spec.seed,
        "run": spec.run,
        "teachers": {name: teacher.fingerprint for name, teacher in spec.teachers.items()},
        "start": spec.start and spec.start.fingerprint,
    }
    stated = spec.options() | {
        "content": spec.content, "classes": spec.classes, "groups": spec.groups, "crop": spec.crop
    }  # fmt: skip
    parts |= {key: value for key, value in stated.items() if value}
    if spec.teacher_epoch != "best":
        parts["teacher_epoch"] = spec.teacher_epoch
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
