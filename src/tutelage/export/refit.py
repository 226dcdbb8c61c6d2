"""A method trained once more on everybody, for as long as the folds chose by validation."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from tutelage.errors import UserError
from tutelage.execution.listener import Listener
from tutelage.execution.run import RunConfig, execute
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.reader import merge
from tutelage.runs.ledger import Experiment, read_experiment
from tutelage.runs.run import Run

__all__ = ["Refit", "refit", "refit_recipe"]


@dataclass(frozen=True)
class Length:
    """How long a stage is trained on everybody.

    Args:
        epochs: that many.
        asked: how many the recipe asks for.
        chosen: by validation; else the recipe keeps no single best epoch, and its own length holds.
        runs: whose best epochs were looked at.
    """

    epochs: int
    asked: int
    chosen: bool
    runs: int


@dataclass(frozen=True)
class Refit:
    """A method trained once more on everybody.

    Args:
        experiment: the one that was made for it, with the run in it.
        run: the network.
        lengths: name of each stage that was trained -> how long.
    """

    experiment: Experiment
    run: Run
    lengths: Mapping[str, Length]


def refit(
    experiment: Experiment, stage: str, config: RunConfig, listener: Listener | None = None
) -> Refit:
    """Train a stage, and all it learns or starts from, on every sample; found or resumed where it can be.

    The runs lie in ``refit-<stage>`` in the experiment's folder.

    Args:
        experiment: whose folds chose how long.
        stage: the method.
        config: where data lie and how runs go; its folder of runs is not looked at.
        listener: who is told.

    Raises:
        UserError: the folds chose no length, or the training cannot be done or was stopped.
    """
    recipe, lengths = refit_recipe(experiment, stage)
    own = RunConfig(
        experiment.folder,
        config.data,
        config.accelerator,
        config.jobs,
        config.devices,
        config.trust,
    )
    try:
        folder = execute(recipe, f"refit-{stage}", own, listener)
    except UserError as error:
        raise UserError(f"--refit: {error}") from error
    made = read_experiment(folder)
    run = next(iter(made.of(stage)), None)
    if run is None:
        why = next((hole.reason for hole in made.holes if hole.stage == stage), "it is not there")
        raise UserError(f"--refit: {stage} was not trained on everybody ({why})")
    return Refit(made, run, lengths)


def refit_recipe(experiment: Experiment, stage: str) -> tuple[Recipe, dict[str, Length]]:
    """Return the recipe that trains a stage on everybody, and how long each of its stages is trained.

    A stage that keeps its best epoch is trained for the median, over folds and seeds, of the epochs that were
    best, and keeps the last; its schedules are as long as that. Every other stage is trained as its recipe says.
    One seed, the first.

    Args:
        experiment: whose folds chose.
        stage: the method.

    Raises:
        UserError: a stage has no complete run, or its best epoch was chosen on the test split.
    """
    recipe = parse(Recipe, experiment.record.resolved, str(experiment.folder / "experiment.json"))
    needed = recipe.needed_for(stage)
    names = [name for name in recipe.stages if name in needed]
    lengths = {
        name: _length(experiment, recipe, name, names)
        for name in names
        if recipe.stages[name].run is None
    }
    content: dict[str, Any] = recipe.model_dump()
    stages = {name: content["stages"][name] for name in names}
    for name, length in lengths.items():
        if length.chosen:
            own = {"epochs": length.epochs, "select": "last"}
            stages[name]["train"] = merge(stages[name]["train"], own)
    content |= {
        "stages": stages, "split": _everybody(recipe.split), "protocol": "refit", "folds": [0],
        "seeds": recipe.seeds[:1], "baseline": stage, "transfer": {},
    }  # fmt: skip
    return parse(Recipe, content, "--refit"), lengths


def _everybody(split: Mapping[str, Any]) -> dict[str, Any]:
    """Return a split with everybody in training; what thins training samples goes on doing so."""
    if split.get("type") in ("Thinned", "FewShot"):
        return {**split, "of": _everybody(split["of"])}
    return {"type": "Everybody", "of": dict(split)}


def _length(experiment: Experiment, recipe: Recipe, name: str, names: list[str]) -> Length:
    train = recipe.train_settings(name)
    taught_by_last = any(
        name in recipe.stages[other].teachers and recipe.stages[other].teacher_epoch == "last"
        for other in names
    )
    fixed = not train.epochs or train.average is not None or train.select == "last"
    if fixed or taught_by_last:
        return Length(train.epochs, train.epochs, False, 0)
    runs = experiment.of(name)
    chosen = [run.record.selected for run in runs if run.record.selected is not None]
    if not chosen:
        raise UserError(
            f"--refit: stage {name!r} of {experiment.folder} has no complete run, so nothing says how long to "
            "train it; run the recipe again"
        )
    if any(selected.on == "test" for selected in chosen):
        raise UserError(
            f"--refit: stage {name!r} of {experiment.folder} chose its best epoch on the test split; allowed: a "
            "split with validation, or train: {select: last}"
        )
    # A run of 1 epoch has epoch 0; of two middle epochs the later one.
    epochs = int(np.median([selected.epoch + 1 for selected in chosen]) + 0.5)
    return Length(epochs, train.epochs, True, len(chosen))
