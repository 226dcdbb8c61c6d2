"""The damage that a recipe asks for on test inputs, built and held against the data before anything is trained."""

from collections.abc import Mapping
from typing import Any

from tutelage.corruptions import Corruption, InputFacts
from tutelage.data import DataSet
from tutelage.errors import UserError, unknown
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold, tensor_of
from tutelage.recipe.instantiate import build
from tutelage.recipe.keys import Evaluate
from tutelage.recipe.names import refuse_names

__all__ = ["corruptions_of", "damaged_stages", "facts_of", "refuse_unfit_evaluation"]

_PLACE = "evaluate.corruptions"


def corruptions_of(evaluate: Evaluate) -> dict[str, Corruption]:
    """Return the corruptions of a recipe by name: their ``name``, else their type.

    Raises:
        UserError: one is unknown, has wrong arguments, or two have one name.
    """
    named: dict[str, Corruption] = {}
    for number, item in enumerate(evaluate.corruptions):
        place = f"{_PLACE}.{number}"
        arguments: dict[str, Any] = {"type": item} if isinstance(item, str) else dict(item)
        name = arguments.pop("name", None) or str(arguments.get("type", "")).rpartition(".")[2]
        made = build("tutelage.corruptions", arguments, place, base=Corruption)
        if not isinstance(name, str) or name in named:
            raise UserError(
                f"{place}: found {name!r} twice; give each a name of its own (name: ...)"
            )
        named[name] = made
    refuse_names(named, _PLACE)
    return named


def damaged_stages(recipe: Recipe) -> list[str]:
    """Return the stages whose networks are evaluated on damaged inputs; none without corruptions.

    A stage that is taken from an earlier run is none of them: it may have been tested on other samples.

    Raises:
        UserError: a stage is named that there is not, or that is not trained here.
    """
    wanted, stages = recipe.evaluate.stages, recipe.stages
    for name in [] if isinstance(wanted, str) else wanted:
        if name not in stages:
            raise unknown("evaluate.stages", "stage", name, stages)
        if stages[name].run is not None:
            raise UserError(
                f"evaluate.stages: {name!r} is taken from an earlier run, which may have been tested on other "
                "samples (allowed: stages that are trained here)"
            )
    if not recipe.evaluate.corruptions:
        return []
    chosen = {"students": recipe.students(), "all": list(stages)}.get(str(wanted), wanted)
    return [name for name in stages if name in chosen and stages[name].run is None]


def facts_of(data: Fold) -> InputFacts:
    """Return what corruptions need to know: channels, and their mean and standard deviation in training."""
    plain = _plain(data.dataset)
    if plain.modality != "signal":
        return plain
    values = tensor_of(data.dataset.inputs)
    mean, std = (each.double().numpy() for each in data.statistics("signal", values))
    return InputFacts(plain.modality, plain.shape, plain.channels, mean, std)


def refuse_unfit_evaluation(recipe: Recipe, data: Fold) -> None:
    """Refuse corruptions that cannot damage these data, and stages whose input cannot be made of damaged data.

    Raises:
        UserError: the sentence, with its place in the recipe.
    """
    facts, found = _plain(data.dataset), damaged_stages(recipe)
    if found and recipe.protocol == "blind":
        raise UserError(
            f"{_PLACE}: damage test inputs, which protocol: blind leaves unread (allowed: no corruptions, or "
            "protocol: honest)"
        )
    for name, corruption in corruptions_of(recipe.evaluate).items():
        place = f"{_PLACE}: {name}"
        try:
            corruption.refuse(facts)
        except UserError as error:
            raise UserError(f"{place}: {error}") from error
        most = len(corruption.amounts(facts))
        if recipe.evaluate.severities[-1] > most:
            raise UserError(
                f"evaluate.severities: found {recipe.evaluate.severities[-1]}; allowed: 1 to {most}, the levels "
                f"of {name}"
            )
    for stage in found:
        own = stage if recipe.stages[stage].stored else data.dataset.modality
        read = recipe.stages[stage].input or own
        if not _is_made(read, recipe.inputs(), data):
            raise UserError(
                f"{_PLACE}: stage {stage!r} reads {read!r}, which was computed elsewhere, so there is none of "
                "damaged inputs (allowed: evaluate.stages without it)"
            )


def _is_made(name: str, known: Mapping[str, Any], data: Fold) -> bool:
    """Return whether a modality can be made anew; one that is unknown is refused elsewhere."""
    return name not in known or data.is_made(name)


def _plain(dataset: DataSet) -> InputFacts:
    return InputFacts.plain(dataset.modality, dataset.inputs.shape[1:], dataset.channel_names)
