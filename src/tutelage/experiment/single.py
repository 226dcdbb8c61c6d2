"""One run: a network trained from its stage, evaluated once, and recorded."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from tutelage.batches import Samples
from tutelage.evaluate import assess, assess_groups, predict
from tutelage.experiment.config import Recipe, Train
from tutelage.experiment.explanations import explain
from tutelage.experiment.groups import compete, groups_of, lesson_of
from tutelage.experiment.inspection import assess_variants, inspect
from tutelage.experiment.networks import load_network
from tutelage.experiment.plan import Job
from tutelage.experiment.prepare import Fold, Progress
from tutelage.experiment.record import RunFolder, environment
from tutelage.experiment.stage import (
    Ready,
    adopt,
    distiller_of,
    facts_of,
    load_teacher,
    make_fabric,
    network_for,
    of_classes,
    refuse_misplaced,
    settings_of,
    settle,
    start_from,
    step_of,
    teachers_live,
    teachers_of,
)
from tutelage.models import On, Size, measure
from tutelage.seeds import derive
from tutelage.train import DivergedError, Training, fit

__all__ = ["Context", "relative", "train_one"]


@dataclass(frozen=True)
class Context:
    """What the runs of one experiment share.

    Args:
        recipe: the recipe.
        folder: of the experiment.
        cache: root of representations, teacher outputs and locks.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        code: version and commit.
        found: fingerprint -> run folder of what is complete already.
    """

    recipe: Recipe
    folder: Path
    cache: Path
    accelerator: str
    code: Mapping[str, Any]
    found: Mapping[str, Path]


def train_one(
    context: Context,
    job: Job,
    data: Fold,
    path: Path,
    listen: Callable[[dict[str, Any]], None],
    progress: Progress,
) -> dict[str, Any]:
    """Train one network, or go on where an earlier sitting stopped.

    Args:
        context: what the runs share.
        job: which stage, fold and seed.
        data: the fold.
        path: the run folder.
        listen: called with each epoch's metrics.
        progress: called during long preparations.

    Returns:
        The evaluation, by split.

    Raises:
        UserError: something does not fit.
        DivergedError: the run was stopped; the folder says why.
    """
    recipe = context.recipe
    stage = recipe.stages[job.stage]
    train = recipe.train_of(job.stage)
    fabric = make_fabric(train, context.accelerator)
    own = recipe.input_of(job.stage, data.dataset.modality)
    teachers, samples, student, spec = _networks(context, job, data, progress)
    place = f"stages.{job.stage}"
    sides = {
        name: of_classes(torch.from_numpy(side), samples, stage.classes, place)
        for name, side in data.split.sides().items()
    }
    lesson = lesson_of(recipe, job.stage, samples, sides, [job.seed, job.fold])
    compete(student, lesson.classes)
    index = lesson.index
    spec["network"] |= settle(student, lesson.samples, index, job.seed, place)
    size = measure(student.network, spec["input_shape"])
    if job.start is not None:
        other, _ = load_network(context.found[job.start.fingerprint] / "best.safetensors")
        start_from(student, other, place, job.start.stage)
    student.to(fabric.device)
    ready = Ready(student, distiller_of(recipe, job.stage), teachers, lesson.samples)
    outputs = teachers_of(
        ready, train, index, context.cache, fabric, f"{place}.train",
        lambda done, total: progress("teachers of " + job.stage, done / total),
    )  # fmt: skip
    # Adapters have a stream of their own: a cache hit must not change their initial values.
    torch.manual_seed(derive(job.seed, "adapters"))
    ready.distiller.prepare(
        facts_of(ready, index, lesson.validation, train.batch_size, fabric.autocast)
    )
    ready.distiller.to(fabric.device)
    if train.compile:
        student.network.compile()
    # Cached teachers are read by sample id: their inputs need not be gathered in training.
    kept = set(samples.inputs) if teachers_live(train, teachers, f"{place}.train") else {own}
    monitors = {"validation": lesson.validation} if len(lesson.validation) else {}
    if recipe.protocol == "legacy":
        monitors["test"] = sides["test"]
    folder = RunFolder(path, spec, listen)
    state = folder.begin(_facts(context, job, data, spec, size, train, len(index)))
    seen = lesson.samples.only(kept)
    training = Training(student, ready.distiller, outputs, seen, index, monitors, lesson.labelled)
    refuse_misplaced(ready, train, place)
    step = step_of(train, f"{place}.train")
    settings = settings_of(train, job.seed, sorted(kept), f"{place}.train")
    try:
        state = fit(training, step, settings, fabric, folder, state)
    except DivergedError as error:
        folder.fail({"kind": error.kind, "message": str(error), "epoch": error.epoch,
                     "objective": error.objective})  # fmt: skip
        raise
    inspect(folder, ready, sides["validation"], own, fabric)
    chosen = "validation" if "validation" in state.best else "test"
    groups = groups_of(recipe, samples.class_names)
    evaluation = _evaluate(folder, samples.only({own}), sides, monitors, fabric, groups)
    if "validation" in monitors:
        deployed = load_network(folder.best_path())[0].to(fabric.device)
        explain(folder, deployed, samples.only({own}), data, sides["validation"], fabric)
    on = chosen if settings.kept == "best" else settings.kept
    folder.complete(evaluation, state.best[chosen] | {"on": on})
    return evaluation


def _networks(
    context: Context, job: Job, data: Fold, progress: Progress
) -> tuple[dict[str, On], Samples, On, dict[str, Any]]:
    """Return teachers, samples with all their inputs, and the student with the spec that rebuilds it."""
    recipe = context.recipe
    epoch = recipe.stages[job.stage].teacher_epoch
    teachers = {
        name: load_teacher(context.found[other.fingerprint], name, data, epoch)
        for name, other in job.teachers.items()
    }
    own = recipe.input_of(job.stage, data.dataset.modality)
    names = sorted({own, *(teacher.modality for teacher in teachers.values())})
    samples = data.samples(names, progress)
    student, spec = network_for(recipe, job.stage, data, samples, job.seed)
    spec["network"] |= adopt(student, teachers, samples, job.seed)
    return teachers, samples, student, spec


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


def _facts(
    context: Context,
    job: Job,
    data: Fold,
    spec: Mapping[str, Any],
    size: Size,
    train: Train,
    n_taught: int,
) -> dict[str, Any]:
    recipe, dataset, split = context.recipe, data.dataset, data.split

    def who(index: Any) -> list[str] | None:
        return None if dataset.subjects is None else sorted(set(dataset.subjects[index].tolist()))

    return {
        "schema": 1,
        "stage": job.stage,
        "fold": job.fold,
        "seed": job.seed,
        "fingerprint": job.fingerprint,
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
        "environment": environment(train.precision),
        "code": context.code,
    }  # fmt: skip


def _reference(context: Context, job: Job) -> dict[str, str]:
    path = context.found[job.fingerprint]
    return {"path": relative(path, context.folder), "fingerprint": job.fingerprint}


def relative(path: Path, folder: Path) -> str:
    """Return a path as seen from a folder, with forward slashes."""
    return Path(os.path.relpath(path, folder)).as_posix()
