"""Groups of classes: which of them a stage is taught, on how many samples, and which are evaluated apart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.batches import Samples
from tutelage.data.choosing import few
from tutelage.errors import UserError, unknown
from tutelage.models import On
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold

__all__ = [
    "TrainingSubset",
    "restrict_classes",
    "groups_of",
    "training_subset",
    "refuse_unfit",
    "taught",
]


def groups_of(recipe: Recipe, class_names: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each group; none where the recipe states no groups.

    Raises:
        UserError: a name is no class, or a group is empty.
    """
    if recipe.groups == "base_novel":
        if len(class_names) < 2:
            raise UserError(
                f"groups: base_novel needs at least 2 classes (found: {len(class_names)})"
            )
        # The first half in the order of class numbers, the larger one of an odd number: as published.
        half = -(-len(class_names) // 2)
        return {"base": tuple(class_names[:half]), "novel": tuple(class_names[half:])}
    for group, names in recipe.groups.items():
        if not names:
            raise UserError(f"groups.{group}: found no classes; allowed: at least one")
        for name in names:
            if name not in class_names:
                raise unknown(f"groups.{group}", "class", name, class_names)
    return {group: tuple(dict.fromkeys(names)) for group, names in recipe.groups.items()}


def taught(recipe: Recipe, name: str, class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the classes that a stage is trained and chosen on; none for all.

    Raises:
        UserError: there is no such group or class.
    """
    wanted = recipe.stages[name].train_classes
    place = f"stages.{name}.train_classes"
    if isinstance(wanted, str):
        groups = groups_of(recipe, class_names)
        if wanted not in groups:
            raise unknown(place, "group", wanted, groups)
        return groups[wanted]
    for one in wanted:
        if one not in class_names:
            raise unknown(place, "class", one, class_names)
    return tuple(wanted)


@dataclass(frozen=True)
class TrainingSubset:
    """What a stage is shown while it is trained.

    Args:
        samples: the data; labels that are hidden are 0.
        index: ids of the training samples.
        validation: ids of the samples that decide.
        classes: names of the classes that compete; none for all.
        labelled: the labels of the training samples are true.
    """

    samples: Samples
    index: Tensor
    validation: Tensor
    classes: tuple[str, ...]
    labelled: bool


def training_subset(
    recipe: Recipe,
    name: str,
    samples: Samples,
    sides: Mapping[str, Tensor],
    seed: Sequence[int],
) -> TrainingSubset:
    """Return what a stage is shown.

    The draw of a few samples depends on seed and fold alone, so every stage of a seed gets the same ones: those of
    ``{type: FewShot, seed: ...}`` with that seed.

    Args:
        recipe: the recipe.
        name: of the stage.
        samples: the data.
        sides: ids of the sides of the split.
        seed: of the run, and number of the fold.

    Raises:
        UserError: a class has fewer samples than shots.
    """
    stage, place = recipe.stages[name], f"stages.{name}"
    classes = taught(recipe, name, samples.class_names)
    index = of_classes(sides["train"], samples, classes, place)
    validation = of_classes(sides["validation"], samples, classes, place)
    if stage.shots is not None:
        wanted = classes or stage.classes or samples.class_names
        numbers = [samples.class_names.index(one) for one in wanted]
        labels = samples.labels.numpy()
        names = samples.class_names
        some = few(labels, names, index.numpy(), stage.shots, seed, f"{place}.shots", numbers)
        index = torch.from_numpy(some)
    if stage.unlabelled:
        samples = replace(samples, labels=samples.labels.index_fill(0, index, 0))
    return TrainingSubset(samples, index, validation, classes, not stage.unlabelled)


def of_classes(index: Tensor, samples: Samples, classes: Sequence[str], place: str) -> Tensor:
    """Return the ids whose class is among these names; all of them for no names.

    Raises:
        UserError: a name is not a class of the data set.
    """
    if not classes:
        return index
    for name in classes:
        if name not in samples.class_names:
            raise unknown(f"{place}.classes", "class", name, samples.class_names)
    numbers = torch.tensor([samples.class_names.index(name) for name in classes])
    return index[torch.isin(samples.labels[index], numbers)]


def restrict_classes(student: On, classes: Sequence[str]) -> None:
    """Let only these classes compete while a network is trained, where it knows how; all of them for no names."""
    if classes:
        student.network.restrict_classes(classes)


def refuse_unfit(recipe: Recipe, data: Fold) -> None:
    """Refuse groups, shots and stages that do not fit the data; nothing is built.

    Raises:
        UserError: a name that is no class or group, too few samples, or labels of a test side that are not hidden.
    """
    dataset = data.dataset
    groups = groups_of(recipe, dataset.class_names)
    quantities = {"accuracy", "harmonic_mean", "mean", *groups, *recipe.transfer}
    for name, stage in recipe.stages.items():
        place = f"stages.{name}"
        classes = taught(recipe, name, dataset.class_names) or stage.classes or dataset.class_names
        if stage.shots is not None:
            numbers = [
                dataset.class_names.index(one) for one in classes if one in dataset.class_names
            ]
            few(
                dataset.labels,
                dataset.class_names,
                data.split.train,
                stage.shots,
                [0],
                f"{place}.shots",
                numbers,
            )
        for quantity in stage.published:
            if quantity not in quantities:
                raise unknown(f"{place}.published", "quantity", quantity, quantities)
        if data.split.transductive and stage.run is None and not stage.unlabelled:
            raise UserError(
                f"{place}.unlabelled: found false, but split {data.split.name!r} trains on test samples, whose "
                "labels must be hidden (allowed: true)"
            )
