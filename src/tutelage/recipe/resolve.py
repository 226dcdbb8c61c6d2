"""Which runs a recipe asks for, in which order, and what identifies each of them."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold
from tutelage.recipe.groups import groups_of, taught
from tutelage.recipe.networks import content_of

__all__ = ["Job", "order_of", "plan"]

NUMBERS = 2  # of the results; raise it when the same recipe and seed would give other numbers


@dataclass(frozen=True)
class Job:
    """One network to train: a stage on a fold with a seed.

    Args:
        stage: name of the stage.
        fold: number of the fold.
        fold_name: its name, fit for a folder.
        seed: of the run.
        fingerprint: hash of everything the numbers depend on (but the machine).
        teachers: teacher name -> its job.
        start: job whose network this one starts from, or None.
        blind: the test split stays unread.
    """

    stage: str
    fold: int
    fold_name: str
    seed: int
    fingerprint: str
    teachers: Mapping[str, "Job"]
    start: "Job | None"
    blind: bool = False

    def __hash__(self) -> int:
        return hash((self.stage, self.fold, self.seed, self.fingerprint))

    @property
    def folder(self) -> Path:
        """Place of the run folder inside the experiment's folder."""
        return Path(self.fold_name, self.stage, f"seed-{self.seed}-{self.fingerprint[:10]}")


def order_of(recipe: Recipe) -> list[str]:
    """Return the stages so that teachers and starts come before those who need them.

    Raises:
        UserError: stages need each other in a circle.
    """
    graph = {
        name: [*stage.teachers, *([stage.start_from] if stage.start_from else [])]
        for name, stage in recipe.stages.items()
    }
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        raise UserError(
            f"stages: {' -> '.join(error.args[1])} need each other in a circle"
        ) from error


def plan(recipe: Recipe, fold: int, data: Fold) -> list[Job]:
    """Return every run of one fold, each after those it needs."""
    order_of(recipe)  # refuses circles before the recursion below could run into one
    jobs: dict[tuple[str, int], Job] = {}

    def job(name: str, seed: int) -> Job:
        stage = recipe.stages[name]
        own = seed if stage.seed is None else stage.seed
        if (name, own) not in jobs:
            teachers = {teacher: job(teacher, own) for teacher in stage.teachers}
            start = job(stage.start_from, own) if stage.start_from else None
            key = _fingerprint(recipe, name, own, data, teachers, start)
            jobs[name, own] = Job(
                name, fold, data.split.name, own, key, teachers, start, recipe.protocol == "blind"
            )
        return jobs[name, own]

    for seed in recipe.seeds:
        for name in recipe.stages:
            job(name, seed)
    return list(jobs.values())


def _fingerprint(
    recipe: Recipe,
    name: str,
    seed: int,
    data: Fold,
    teachers: Mapping[str, Job],
    start: Job | None,
) -> str:
    stage = recipe.stages[name]
    modality = recipe.input_of(name, data.dataset.modality)
    parts: dict[str, Any] = {
        "numbers": NUMBERS,
        "data": data.dataset.fingerprint,
        "split": data.hash,
        "input": [modality, data.key(modality)],
        "network": recipe.network_of(name),
        "distiller": recipe.distiller_of(name),
        # Without defaults: a new option that is not used must not make every earlier run unfindable.
        "train": recipe.train_of(name).model_dump(exclude_defaults=True),
        # A blind run is the honest one without its test evaluation.
        "protocol": "honest" if recipe.protocol == "blind" else recipe.protocol,
        "seed": seed,
        "run": stage.run,
        "teachers": {teacher: job.fingerprint for teacher, job in teachers.items()},
        "start": start and start.fingerprint,
    }
    content = content_of(recipe.network_of(name), f"stages.{name}.network")
    parts |= {"content": content} if content else {}
    shown = {"classes", "teacher_epoch", "shots", "unlabelled"}
    parts |= stage.model_dump(include=shown, exclude_defaults=True)
    class_names = data.dataset.class_names
    names, groups = taught(recipe, name, class_names), groups_of(recipe, class_names)
    parts |= {"train_classes": names} if names else {}
    parts |= {"groups": groups} if groups else {}
    crop = recipe.crop_of(name)
    parts |= {} if crop is None else {"crop": crop}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()
