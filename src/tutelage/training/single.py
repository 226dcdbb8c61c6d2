"""One run: a network trained from its stage, evaluated once, and recorded."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric
from torch import Tensor

from tutelage.batches import Samples
from tutelage.evaluate import assess, assess_groups, predict
from tutelage.ranks import Ranks
from tutelage.recipe.fold import Fold, Progress
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import (
    RunFolder,
    Unrecorded,
    environment,
    read_state,
)
from tutelage.train import DivergedError, State, fit
from tutelage.training.assemble import Assembled, Context, assemble
from tutelage.training.explanations import explain
from tutelage.training.inspection import assess_variants, inspect

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
    made = assemble(spec, data, context, progress, ranks)
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
    return folder, folder.begin(_facts(made))


def fail(folder: RunFolder, error: DivergedError) -> None:
    """Record why a training was stopped."""
    folder.fail({"kind": error.kind, "message": str(error), "epoch": error.epoch,
                 "objective": error.objective})  # fmt: skip


def finish(made: Assembled, folder: RunFolder, state: State) -> dict[str, Any]:
    """Evaluate a trained network once and complete its record; return the evaluation, by split."""
    own, fabric, monitors = made.student.modality, made.fabric, made.training.monitors
    inspect(folder, made)
    chosen = "validation" if "validation" in state.best else "test"
    shown = made.samples.only({own})
    evaluation = _evaluate(folder, shown, made.sides, monitors, fabric, made.spec.groups)
    if "validation" in monitors:
        deployed = load_network(folder.best_path())[0].to(fabric.device)
        explain(folder, deployed, shown, made.data, made.sides["validation"], fabric)
    on = chosen if made.settings.kept == "best" else made.settings.kept
    folder.complete(evaluation, state.best[chosen] | {"on": on})
    return evaluation


def _evaluate(
    folder: RunFolder,
    samples: Samples,
    sides: Mapping[str, Tensor],
    monitors: Mapping[str, Tensor],
    fabric: Fabric,
    groups: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    wanted = [("validation", "validation", "validation"), ("test", "test", "validation")]
    if "test" in monitors:
        wanted.append(("test_legacy", "test", "test"))
    found = {}
    for name, side, chosen_on in wanted:
        if not folder.best_path(chosen_on).exists() or len(sides[side]) == 0:
            continue
        network, _ = load_network(folder.best_path(chosen_on))
        network.to(fabric.device)
        index = sides[side]
        logits = predict(network, samples, index, context=fabric.autocast)
        labels = samples.labels[index]
        who = None if samples.subjects is None else samples.subjects[index.numpy()]
        folder.predictions(name, index, labels, logits, who)
        found[name] = assess(logits, labels, samples.class_names, who)
        found[name] |= assess_groups(logits, labels, samples.class_names, groups)
        variants = assess_variants(network, samples, index, fabric)
        if variants:
            found[name]["variants"] = variants
    return found


def _facts(made: Assembled) -> dict[str, Any]:
    spec, size, dataset, split = made.spec, made.size, made.data.dataset, made.data.split

    def who(index: Any) -> list[str] | None:
        return None if dataset.subjects is None else sorted(set(dataset.subjects[index].tolist()))

    def reference(other: RunSpec) -> dict[str, str]:
        path = made.context.paths[other.fingerprint]
        return {
            "path": relative(path, made.context.folder), "fingerprint": other.fingerprint
        }  # fmt: skip

    return {
        "schema": 1,
        "started": made.started,
        "stage": spec.stage,
        "fold": spec.fold,
        "seed": spec.seed,
        "fingerprint": spec.fingerprint,
        "blind": spec.blind,
        "config": {
            "network": dict(spec.network),
            "distiller": dict(spec.distiller),
            "train": spec.train.model_dump(),
        } | spec.options(),
        "data": {
            "name": dataset.name, "fingerprint": dataset.fingerprint, "synthetic": dataset.synthetic,
            "modality": spec.modality, "input_shape": made.blueprint["input_shape"],
            "n_train": len(split.train), "n_taught": len(made.training.train),
            "n_validation": len(split.validation), "n_test": len(split.test),
            "train_subjects": who(split.train), "validation_subjects": who(split.validation),
            "test_subjects": who(split.test), "class_names": list(dataset.class_names),
            "split": split.name,
            "concepts": {scope: list(names) for scope, names in dataset.concept_names.items()},
            "groups": {name: list(own) for name, own in spec.groups.items()},
        },
        "teachers": {name: reference(other) for name, other in spec.teachers.items()},
        "start_from": spec.start and {"stage": spec.start.stage} | reference(spec.start),
        "network": {
            "type": spec.network["type"], "input": spec.modality,
            "parameters": size.parameters, "macs": size.macs,
        },
        "environment": environment(spec.train.precision) | {"processes": made.context.devices},
        "code": made.context.code,
    }  # fmt: skip


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
