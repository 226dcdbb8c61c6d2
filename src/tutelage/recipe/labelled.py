"""Few labels: which training samples have them, and which stages are shown the others as well."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from tutelage.batches import Samples
from tutelage.data import DataSet
from tutelage.data.choosing import few, few_as_coop
from tutelage.data.dataset import Ints
from tutelage.data.names import natural
from tutelage.errors import UserError, unknown
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold
from tutelage.recipe.keys import Labelled

__all__ = ["Shown", "labelled_ids", "labelled_options", "labels_of", "refuse_labelled"]

Shown = Literal["labelled", "all"]


def labels_of(recipe: Recipe, name: str, data: Fold) -> tuple[Labelled | None, Shown]:
    """Return whose labels a stage may see, None for all there are, and what it is shown.

    ``shots: 16`` of a stage stands for ``labelled: {per_class: 16}`` with ``shown: labelled``, ``draw`` beside it
    for its ``draw``. Where every training sample has a label, both ways of showing are the same: ``all``.
    """
    stage = recipe.stages[name]
    if stage.stored is not None:  # it has been asked already
        return None, "all"
    if stage.shots is not None:
        return Labelled(per_class=stage.shots, draw=stage.draw), "labelled"
    if recipe.labelled is None and not data.partly_labelled:
        return None, "all"
    shown = stage.shown or ("all" if stage.teachers or stage.unlabelled else "labelled")
    # Where all labels are hidden and all samples shown, nothing depends on whose labels there are.
    return None if stage.unlabelled and shown == "all" else recipe.labelled, shown


def labelled_options(labelled: Labelled | None, shown: Shown) -> dict[str, Any]:
    """Return what of this is not as it would be without a word; ``shots`` where a stage may say it so."""
    if labelled is None:
        return {"shown": shown} if shown == "labelled" else {}
    stated = labelled.model_dump(exclude_none=True)
    if shown == "labelled" and stated.keys() == {"per_class"}:
        return {"shots": labelled.per_class}
    return {"labelled": stated} | ({"shown": shown} if shown == "labelled" else {})


def labelled_ids(
    labelled: Labelled | None,
    source: DataSet | Samples,
    index: Ints,
    seed: Sequence[int],
    classes: Sequence[int],
    place: str = "labelled.per_class",
) -> Ints:
    """Return the samples whose labels may be seen, increasing.

    The draw depends on seed and fold alone, so all stages of a seed have the same labels. Fewer samples of a
    class, and fewer subjects, are a part of more.

    Args:
        labelled: which; None for all that have a label.
        source: labels (-1 where there is none), subjects and names of the classes.
        index: sample numbers to draw from.
        seed: seed and fold of the run.
        classes: numbers of the classes that are taught.
        place: what asks for them, for the sentence.

    Raises:
        UserError: a class has fewer samples, or there are fewer subjects, than are to have labels.
    """
    labels, subjects = np.asarray(source.labels), source.subjects
    known = index[np.isin(labels[index], classes)]
    if labelled is None:
        return known
    seed = seed if labelled.seed is None else [labelled.seed, *seed[1:]]
    if labelled.draw is not None and labelled.per_class is not None:
        drawn = few_as_coop(
            labels, source.listed, index, labelled.per_class, seed[0], "labelled.draw"
        )
        return np.sort(drawn[np.isin(labels[drawn], classes)])
    if labelled.per_class is not None:
        return few(labels, source.class_names, known, labelled.per_class, seed, place, classes)
    if subjects is None:
        raise UserError("labelled.subjects: the data set has no subjects (allowed: per_class)")
    people = sorted(np.unique(subjects[known]).tolist(), key=natural)
    chosen = _chosen(labelled.subjects or [], people, seed)
    return known[np.isin(subjects[known], chosen)]


def _chosen(wanted: int | Sequence[str], people: Sequence[str], seed: Sequence[int]) -> list[str]:
    """Return the subjects with labels: those named, or so many in an order drawn from the seed."""
    if not isinstance(wanted, int):
        for name in wanted:
            if name not in people:
                raise unknown("labelled.subjects", "subject of the training side", name, people)
        return list(wanted)
    if wanted > len(people):
        raise UserError(
            f"labelled.subjects: found {wanted}, but the training side has {len(people)} subjects with labels"
        )
    return [people[i] for i in np.random.default_rng(seed).permutation(len(people))[:wanted]]


def refuse_labelled(recipe: Recipe, name: str, classes: Sequence[str], data: Fold) -> None:
    """Refuse a stage whose labels do not fit the recipe or the data.

    Args:
        recipe: what to do.
        name: of the stage.
        classes: that it is taught.
        data: the fold.

    Raises:
        UserError: it says twice whose labels there are, asks for more than there are, would see labels that its
            teachers or students do not, or would be chosen samples by labels that are hidden.
    """
    stage, place, dataset = recipe.stages[name], f"stages.{name}", data.dataset
    labelled = recipe.labelled
    if stage.shots is not None:
        for key, other in (("labelled", labelled), (f"{place}.shown", stage.shown)):
            if other is not None:
                raise UserError(f"{place}.shots: found {key} as well; allowed is one of both")
        labelled, where = Labelled(per_class=stage.shots, draw=stage.draw), f"{place}.shots"
    else:
        where = "labelled.per_class"
    if stage.draw is not None and stage.shots is None:
        raise UserError(f"{place}.draw: found without shots, which it draws")
    if stage.shown is not None and labelled is None and not data.partly_labelled:
        raise UserError(
            f"{place}.shown: found {stage.shown}, but all training samples have labels (allowed: beside labelled, "
            "or where samples have no label)"
        )
    numbers = [dataset.class_names.index(each) for each in classes]
    labelled_ids(labelled, dataset, data.split.train, [0, 0], numbers, where)
    if recipe.labelled is not None:
        _refuse_other_draw(recipe, name)
    chosen, hidden = stage.train_classes or stage.classes, recipe.labelled or data.partly_labelled
    if chosen and hidden and labels_of(recipe, name, data)[1] == "all":
        key = "train_classes" if stage.train_classes else "classes"
        raise UserError(
            f"{place}.{key}: chooses samples by labels, which are hidden (allowed: shown: labelled)"
        )


def _refuse_other_draw(recipe: Recipe, name: str) -> None:
    """Refuse a stage with a seed of its own, whose labelled samples would be others than those of its students."""
    stage, labelled = recipe.stages[name], recipe.labelled
    if stage.seed is None or stage.run or labelled is None or labelled.seed is not None:
        return
    if recipe.seeds != [stage.seed] and not isinstance(labelled.subjects, list):
        raise UserError(
            f"stages.{name}.seed: found {stage.seed}, so its labelled samples would be others than those of its "
            f"students (allowed: no seed, or labelled.seed, which draws the same samples for all seeds)"
        )
