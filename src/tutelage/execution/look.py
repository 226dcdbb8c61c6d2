"""Trained networks looked at once more, after training: why are they as good as they are?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError, unknown
from tutelage.execution.data_cache import DataCache
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec, Progress
from tutelage.recipe.fold import Fold
from tutelage.runs.interpolation import Interpolation, InterpolationHeader, Pair
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.run import Run
from tutelage.training.attention import SHOWN, attention_of
from tutelage.training.embedding import MOST, embedding_of
from tutelage.training.interpolation import ETA, interpolated
from tutelage.training.looking import LookedAt
from tutelage.training.similarity import MAPPED, Merging, Trio, merging_of, similarity_of

__all__ = ["FEATURES", "Look", "open_look"]


@dataclass(frozen=True, eq=False)
class Look:
    """What will be looked at.

    Args:
        feature: one of ``FEATURES``.
        experiment: whose networks.
        runs: the chosen ones that are complete, stages in the order of the experiment.
        kept: data sets and folds.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
    """

    feature: str
    experiment: Experiment
    runs: tuple[Run, ...]
    kept: DataCache
    accelerator: str

    @property
    def pictured(self) -> tuple[Run, ...]:
        """The runs of the first fold and seed, teachers of a seed of their own among them: these are drawn."""
        fold = self.runs[0].fold
        first: dict[str, Run] = {}
        for run in self.runs:
            if run.fold == fold:
                first.setdefault(run.stage, run)
        return tuple(first.values())

    @cached_property
    def recipe(self) -> Recipe:
        """What was carried out."""
        return parse(Recipe, self.experiment.record.resolved, str(self.experiment.folder))

    def data(self, fold: str) -> Fold:
        """Return one fold."""
        return self.kept.fold(DataSpec.of(self.recipe), int(fold))

    def opened(self, run: Run) -> LookedAt:
        """Return a run with the data of its fold."""
        return LookedAt(run, self.data(run.fold), self.accelerator)

    def cost(self) -> str:
        """Say what it takes, before it is done."""
        return FEATURES[self.feature].cost(self)

    def carry_out(self, progress: Progress) -> None:
        """Look, and keep what is found beside the runs; what is there already is not repeated."""
        FEATURES[self.feature].carry_out(self, progress)


@dataclass(frozen=True)
class LookKind:
    """One way to look: what it costs, in words, and how it is done."""

    cost: Callable[[Look], str]
    carry_out: Callable[[Look, Progress], None]


def open_look(
    folder: Path,
    feature: str,
    stages: Sequence[str],
    fold: int | None,
    seed: int | None,
    data: Path | None,
    accelerator: str,
) -> Look:
    """Find what there is to look at; nothing is computed yet.

    Args:
        folder: of an experiment.
        feature: one of ``FEATURES``.
        stages: whose networks; none for all.
        fold: only this one; None for all.
        seed: only this one; None for all. Teachers with a seed of their own are looked at for any.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        UserError: there is no such experiment, feature or stage, no complete run, or the protocol is blind.
    """
    if feature not in FEATURES:
        raise unknown("look", "feature", feature, FEATURES)
    experiment = read_experiment(folder)
    if experiment.record.protocol not in ("honest", "legacy"):
        raise UserError(
            f"look: {folder} was made under protocol: {experiment.record.protocol}, which has no test split to "
            "look at (allowed: honest or legacy)"
        )
    every = [*experiment.teachers, *experiment.students]
    for stage in stages:
        if stage not in every:
            raise unknown("--stages", "stage", stage, every)
    runs = tuple(
        run
        for stage in every
        if stage in stages or not stages
        for run in experiment.of(stage)
        if fold in (None, int(run.fold))
        and (seed in (None, run.seed) or _own_seed(experiment, run))
    )
    if not runs:
        raise UserError(f"look: no run of these stages, fold and seed is complete in {folder}")
    return Look(feature, experiment, runs, DataCache(data, _cache_of(folder)), accelerator)


def _own_seed(experiment: Experiment, run: Run) -> bool:
    return experiment.settings(run.stage).get("seed") is not None


def _cache_of(folder: Path) -> Path:
    """Return where representations were cached when the runs were trained: beside the experiment or its study."""
    near = [parent / ".cache" for parent in folder.absolute().parents[:2]]
    return next((path for path in near if path.is_dir()), near[0])


def _embedding_cost(look: Look) -> str:
    passes = sum(min(MOST, run.record.data.n_test) for run in look.runs)
    return (
        f"embedding: {len(look.runs)} networks on at most {MOST:,} test samples each, {passes:,} forward passes; "
        f"{len(look.pictured)} maps by t-SNE, some seconds each"
    )


def _embed(look: Look, progress: Progress) -> None:
    for number, run in enumerate(look.runs, 1):
        embedding_of(look.opened(run), tsne=run in look.pictured)
        progress("looking at the embedding", number / len(look.runs))


def _merging(look: Look) -> Merging:
    chosen = {run.stage for run in look.runs}
    return merging_of(look.recipe, [name for name in look.experiment.teachers if name in chosen])


def _groups(look: Look, merging: Merging) -> dict[tuple[str, int], dict[str, Run]]:
    """Return teachers and students of each fold and seed, by stage; teachers that are merged are always there.

    Raises:
        UserError: no fold and seed has a student and all its teachers.
    """
    keys = {run.key: None for run in look.runs if run.stage in look.experiment.students}
    chosen = {run.stage for run in look.runs} | set(merging.weights)
    every = (*look.experiment.teachers, *look.experiment.students)
    found = {}
    for fold, seed in keys:
        runs = {
            run.stage: run
            for stage in every
            if stage in chosen
            for run in look.experiment.of(stage)
            if run.fold == fold and (run.seed == seed or _own_seed(look.experiment, run))
        }
        if set(merging.weights) <= runs.keys():
            found[fold, seed] = runs
    if not found:
        raise UserError(
            f"look: similarity: no fold and seed has a student and all of {', '.join(merging.weights)} complete"
        )
    return found


def _similarity_cost(look: Look) -> str:
    groups = _groups(look, _merging(look))
    networks = sum(len(runs) for runs in groups.values())
    return (
        f"similarity: {networks} networks on at most {MAPPED} test samples each, at most "
        f"{networks * MAPPED:,} forward passes"
    )


def _compare(look: Look, progress: Progress) -> None:
    merging = _merging(look)
    trios = [
        Trio(fold, seed, {stage: look.opened(run) for stage, run in runs.items()})
        for (fold, seed), runs in _groups(look, merging).items()
    ]
    folds = {trio.fold: look.data(trio.fold) for trio in trios}
    similarity_of(trios, merging, folds, progress).save(look.experiment.folder)


def _attention_cost(look: Look) -> str:
    passes = sum(min(MOST, run.record.data.n_test) + 2 * SHOWN for run in look.pictured)
    return (
        f"attention: {len(look.pictured)} networks of one fold and seed, maps of at most {SHOWN} samples, angles "
        f"of at most {MOST:,}, {passes:,} forward passes"
    )


def _attend(look: Look, progress: Progress) -> None:
    for number, run in enumerate(look.pictured, 1):
        attention_of(look.opened(run))
        progress("looking at attention", number / len(look.pictured))


def _two(look: Look) -> dict[tuple[str, int], tuple[Run, Run]]:
    """Return the runs of two students by fold and seed: the first two chosen, or the baseline and the next.

    Raises:
        UserError: there are not two of one fold and seed.
    """
    experiment = look.experiment
    students = [run.stage for run in look.runs if run.stage in experiment.students]
    order = sorted(dict.fromkeys(students), key=lambda name: name != experiment.record.baseline)
    pairs = {
        one.key: (one, two)
        for one in look.runs for two in look.runs
        if [one.stage, two.stage] == order[:2] and one.key == two.key
    }  # fmt: skip
    if not pairs:
        raise UserError(
            "look: interpolation: found no two students of one fold and seed (--stages first,second)"
        )
    return pairs


def _interpolation_cost(look: Look) -> str:
    pairs = _two(look)
    first, second = (run.stage for run in next(iter(pairs.values())))
    passes = len(pairs) * len(ETA) * 3 * MOST
    return (
        f"interpolation: {first} to {second}, {len(pairs)} pairs at {len(ETA)} places, at most {passes:,} "
        "forward passes"
    )


def _interpolate(look: Look, progress: Progress) -> None:
    pairs, curves = _two(look), dict[str, list[NDArray[np.float64]]]()
    for number, (one, two) in enumerate(pairs.values(), 1):
        for name, values in interpolated(look.opened(one), look.opened(two)).items():
            curves.setdefault(name, []).append(values)
        progress("looking between students", number / len(pairs))
    first, second = (run.stage for run in next(iter(pairs.values())))
    named = tuple(
        Pair(fold, seed, a.fingerprint, b.fingerprint) for (fold, seed), (a, b) in pairs.items()
    )
    stacked = {name: np.stack(values) for name, values in curves.items()}
    header = InterpolationHeader(1, first, second, named)
    Interpolation(header, ETA, stacked).save(look.experiment.folder)


FEATURES = {
    "attention": LookKind(_attention_cost, _attend),
    "embedding": LookKind(_embedding_cost, _embed),
    "interpolation": LookKind(_interpolation_cost, _interpolate),
    "similarity": LookKind(_similarity_cost, _compare),
}
"""What can be looked at."""
