"""One run: a network trained from its stage, evaluated once, and recorded."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from tutelage.batches import Samples
from tutelage.evaluate import assess, assess_groups, assess_open_set, predict
from tutelage.ranks import Ranks
from tutelage.recipe.data_spec import Progress
from tutelage.recipe.fold import Fold
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import checkpoint_of
from tutelage.runs.predictions import Predictions
from tutelage.runs.records import (
    Ancestor,
    Failure,
    NetworkRecord,
    RunData,
    RunRecord,
    Selected,
    Start,
)
from tutelage.runs.writer import RunFolder, Unrecorded, environment, layout_of, read_state
from tutelage.steps.base import Device
from tutelage.train import DivergedError, State, fit
from tutelage.training.assemble import Assembled, Context, assemble
from tutelage.training.concept_survey import explain
from tutelage.training.inner_values import assess_variants, inspect

__all__ = ["Context", "begin", "fail", "finish", "relative", "train_one"]


def train_one(
    spec: RunSpec,
    data: Fold,
    context: Context,
    path: Path,
    listen: Callable[[dict[str, Any]], None],
    progress: Progress,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Train one network, or go on where an earlier sitting stopped.

    Args:
        spec: the run.
        data: the fold.
        context: what the runs share.
        path: the run folder.
        listen: called with each epoch's metrics.
        progress: called during long preparations.
        ranks: the processes that train it together, of which this is one; None for this one alone.

    Returns:
        The evaluation, by split; nothing in a process that is not the first.

    Raises:
        UserError: something does not fit.
        DivergedError: the run was stopped; the folder says why.
    """
    made = assemble(spec, data, context, progress, ranks, layout=layout_of(path))
    if ranks is not None and ranks.rank:
        fit(made.training, made.step, made.settings, ranks, Unrecorded(), read_state(path))
        return {}
    folder, state = begin(made, path, listen)
    try:
        state = fit(made.training, made.step, made.settings, made.fabric, folder, state)
    except DivergedError as error:
        fail(folder, error)
        raise
    return finish(made, folder, state)


def begin(
    made: Assembled, path: Path, listen: Callable[[dict[str, Any]], None]
) -> tuple[RunFolder, State]:
    """Open the folder of a run; return it and where an earlier sitting stopped."""
    folder = RunFolder(path, made.blueprint, listen)
    return folder, folder.begin(_record(made))


def fail(folder: RunFolder, error: DivergedError) -> None:
    """Record why a training was stopped."""
    folder.fail(Failure(error.kind, str(error), error.epoch, error.objective))


def finish(made: Assembled, folder: RunFolder, state: State) -> dict[str, Any]:
    """Evaluate a trained network once and complete its record; return the evaluation, by split."""
    fabric, monitors, validation = made.fabric, made.training.monitors, made.sides["validation"]
    shown = inspect(made)
    if shown is not None:
        shown.save(folder.path / "inspection.npz")
    chosen = "validation" if "validation" in state.best else "test"
    samples = made.samples.only({made.student.modality})
    evaluation = _evaluate(folder, samples, made.sides, monitors, fabric, made.spec)
    if "validation" in monitors:
        deployed = load_network(checkpoint_of(folder.path))[0].to(fabric.device)
        said = explain(deployed, samples, made.data, validation, fabric)
        if said is not None:
            said.save(folder.path / "explanations.npz")
    on = chosen if made.settings.kept == "best" else made.settings.kept
    best = state.best[chosen]
    folder.complete(evaluation, Selected(int(best["epoch"] or 0), on, best["value"]))
    return evaluation


def _evaluate(
    folder: RunFolder,
    samples: Samples,
    sides: Mapping[str, Tensor],
    monitors: Mapping[str, Tensor],
    fabric: Device,
    spec: RunSpec,
) -> dict[str, Any]:
    wanted = [("validation", "validation", "validation"), ("test", "test", "validation")]
    if "test" in monitors:
        wanted.append(("test_legacy", "test", "test"))
    found = {}
    for name, side, chosen_on in wanted:
        if not checkpoint_of(folder.path, chosen_on).exists() or len(sides[side]) == 0:
            continue
        network, _ = load_network(checkpoint_of(folder.path, chosen_on))
        network.to(fabric.device)
        index = sides[side]
        logits = predict(network, samples, index, context=fabric.autocast)
        labels = samples.labels[index]
        who = None if samples.subjects is None else samples.subjects[index.numpy()]
        said = Predictions.of(index, labels, logits, who)
        said.save(folder.path / f"predictions-{name}.npz")
        found[name] = assess(logits, labels, samples.class_names, who)
        found[name] |= assess_groups(logits, labels, samples.class_names, spec.groups)
        if spec.train_classes and not network.network.knows_names():
            found[name] |= assess_open_set(logits, labels, samples.class_names, spec.train_classes)
        variants = assess_variants(network, samples, index, fabric)
        if variants:
            found[name]["variants"] = variants
    return found


def _record(made: Assembled) -> RunRecord:
    """Return the record of a run that begins."""
    spec, context = made.spec, made.context
    start = None if spec.start is None else Start(*_ancestor(context, spec.start), spec.start.stage)
    return RunRecord(
        started=made.started,
        stage=spec.stage,
        fold=str(spec.fold),
        seed=spec.seed,
        fingerprint=spec.fingerprint,
        blind=spec.blind,
        config={
            "network": dict(spec.network),
            "distiller": dict(spec.distiller),
            "train": spec.train.model_dump(),
            **spec.options(),
            **({"train_classes": spec.group} if spec.group else {}),
        },
        data=_data(made),
        teachers={name: Ancestor(*_ancestor(context, other)) for name, other in spec.teachers.items()},
        start_from=start,
        network=NetworkRecord(spec.network["type"], spec.modality, made.size.parameters, made.size.macs),
        environment=environment(spec.train.precision) | {"processes": context.devices},
        code=dict(context.code),
        status="running",
        seconds=0.0,
    )  # fmt: skip


def _data(made: Assembled) -> RunData:
    dataset, split, spec = made.data.dataset, made.data.split, made.spec

    def who(index: Any) -> tuple[str, ...]:
        return (
            ()
            if dataset.subjects is None
            else tuple(sorted(set(map(str, dataset.subjects[index]))))
        )

    return RunData(
        dataset.name, dataset.fingerprint, dataset.synthetic, spec.modality, len(split.train),
        len(split.validation), len(split.test), tuple(dataset.class_names),
        tuple(made.blueprint["input_shape"]), who(split.train), who(split.validation),
        who(split.test), split.name,
        {scope: tuple(names) for scope, names in dataset.concept_names.items()},
        dict(spec.groups), len(made.training.train), len(made.subset.known),
    )  # fmt: skip


def _ancestor(context: Context, spec: RunSpec) -> tuple[str, str]:
    """Return path and fingerprint of a run that another one builds on."""
    return relative(context.paths[spec.fingerprint], context.folder), spec.fingerprint


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
