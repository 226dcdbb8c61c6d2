"""What a run is shown while it is trained: some classes, a few samples, labels or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.batches import Samples
from tutelage.data.choosing import few
from tutelage.recipe.resolve import RunSpec

__all__ = ["TrainingSubset", "of_classes", "training_subset"]


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


def training_subset(spec: RunSpec, samples: Samples, sides: Mapping[str, Tensor]) -> TrainingSubset:
    """Return what a run is shown.

    The draw of a few samples depends on seed and fold alone, so every stage of a seed gets the same ones: those of
    ``{type: FewShot, seed: ...}`` with that seed.

    Args:
        spec: the run.
        samples: the data.
        sides: ids of the sides of the split.

    Raises:
        UserError: a class has fewer samples than shots.
    """
    names, classes = samples.class_names, spec.train_classes
    index = of_classes(sides["train"], samples, classes)
    validation = of_classes(sides["validation"], samples, classes)
    if spec.shots is not None:
        numbers = [names.index(name) for name in spec.taken or names]
        place, seed = f"{spec.place}.shots", [spec.seed, spec.fold]
        some = few(samples.labels.numpy(), names, index.numpy(), spec.shots, seed, place, numbers)
        index = torch.from_numpy(some)
    if spec.unlabelled:
        samples = replace(samples, labels=samples.labels.index_fill(0, index, 0))
    return TrainingSubset(samples, index, validation, classes, not spec.unlabelled)


def of_classes(index: Tensor, samples: Samples, classes: Sequence[str]) -> Tensor:
    """Return the ids whose class is among these names; all of them for no names."""
    if not classes:
        return index
    numbers = torch.tensor([samples.class_names.index(name) for name in classes])
    return index[torch.isin(samples.labels[index], numbers)]
