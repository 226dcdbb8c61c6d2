"""One run: a network trained from its stage, evaluated once, and recorded."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from tutelage.batches import Samples
from tutelage.evaluate import assess, assess_groups, predict
from tutelage.ranks import Ranks
from tutelage.recipe.fold import Fold, Progress
from tutelage.recipe.groups import groups_of
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import Job
from tutelage.runs.folder import (
    RunFolder,
    Unrecorded,
    environment,
    read_state,
)
from tutelage.steps.base import Device
from tutelage.train import DivergedError, State, fit
from tutelage.training.assemble import Assembled, Context, assemble
from tutelage.training.explanations import explain
from tutelage.training.inspection import assess_variants, inspect

__all__ = ["Context", "begin", "fail", "finish", "relative", "train_one"]


def train_one(
    context: Context,
    job: Job,
    data: Fold,
    path: Path,
    listen: Callable[[dict[str, Any]], None],
    progress: Progress,
    ranks: Ranks | None = None,
) -> dict[str, Any]:
    """Train one network, or go on where an earlier sitting stopped.

    Args:
        context: what the runs share.
        job: which stage, fold and seed.
        data: the fold.
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
    made = assemble(context, job, data, progress, ranks)
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
    folder = RunFolder(path, made.spec, listen)
    return folder, folder.begin(_facts(made))


def fail(folder: RunFolder, error: DivergedError) -> None:
    """Record why a training was stopped."""
    folder.fail({"kind": error.kind, "message": str(error), "epoch": error.epoch,
                 "objective": error.objective})  # fmt: skip


def finish(made: Assembled, folder: RunFolder, state: State) -> dict[str, Any]:
    """Evaluate a trained network once and complete its record; return the evaluation, by split."""
    own, fabric, monitors = made.own, made.fabric, made.training.monitors
    inspect(folder, made.ready, made.sides["validation"], own, fabric)
    chosen = "validation" if "validation" in state.best else "test"
    groups = groups_of(made.context.recipe, made.samples.class_names)
    evaluation = _evaluate(folder, made.samples.only({own}), made.sides, monitors, fabric, groups)
    if "validation" in monitors:
        deployed = load_network(folder.best_path())[0].to(fabric.device)
        shown = made.samples.only({own})
        explain(folder, deployed, shown, made.data, made.sides["validation"], fabric)
    on = chosen if made.settings.kept == "best" else made.settings.kept
    folder.complete(evaluation, state.best[chosen] | {"on": on})
    return evaluation


def _evaluate(
    folder: RunFolder,
    samples: Samples,
    sides: Mapping[str, Tensor],
    monitors: Mapping[str, Tensor],
    fabric: Device,
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
    context, job, data, spec, size = made.context, made.job, made.data, made.spec, made.size
    train, n_taught = made.train, len(made.training.train)
    recipe, dataset, split = context.recipe, data.dataset, data.split

    def who(index: Any) -> list[str] | None:
        return None if dataset.subjects is None else sorted(set(dataset.subjects[index].tolist()))

    return {
        "schema": 1,
        "started": made.started,
        "stage": job.stage,
        "fold": job.fold,
        "seed": job.seed,
        "fingerprint": job.fingerprint,
        "blind": job.blind,
        "config": {
            "network": recipe.network_of(job.stage),
            "distiller": recipe.distiller_of(job.stage),
            "train": train.model_dump(),
            **recipe.stages[job.stage].model_dump(
                include={"train_classes", "shots", "unlabelled"}, exclude_defaults=True
            ),
        },
        "data": {
            "name": dataset.name, "fingerprint": dataset.fingerprint, "synthetic": dataset.synthetic,
            "modality": spec["modality"], "input_shape": spec["input_shape"],
            "n_train": len(split.train), "n_taught": n_taught, "n_validation": len(split.validation),
            "n_test": len(split.test), "train_subjects": who(split.train),
            "validation_subjects": who(split.validation), "test_subjects": who(split.test),
            "class_names": list(dataset.class_names), "split": split.name,
            "concepts": {scope: list(names) for scope, names in dataset.concept_names.items()},
            "groups": {name: list(own) for name, own in groups_of(recipe, dataset.class_names).items()},
        },
        "teachers": {name: _reference(context, other) for name, other in job.teachers.items()},
        "start_from": job.start and {"stage": job.start.stage} | _reference(context, job.start),
        "network": {
            "type": spec["network"]["type"], "input": spec["modality"],
            "parameters": size.parameters, "macs": size.macs,
        },
        "environment": environment(train.precision) | {"processes": context.devices},
        "code": context.code,
    }  # fmt: skip


def _reference(context: Context, job: Job) -> dict[str, str]:
    path = context.found[job.fingerprint]
    return {"path": relative(path, context.folder), "fingerprint": job.fingerprint}


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
