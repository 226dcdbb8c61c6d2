"""What a run is shown while it is trained: some classes, a few samples, labels or none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tutelage.batches import Samples
from tutelage.recipe.labelled import labelled_ids
from tutelage.recipe.resolve import RunSpec

__all__ = ["TrainingSubset", "of_classes", "training_subset"]


@dataclass(frozen=True)
class TrainingSubset:
    """What a stage is shown while it is trained.

    Args:
        samples: the data; labels that are hidden are -1.
        index: ids of the training samples.
        known: ids of those of them whose labels are not hidden.
        validation: ids of the samples that decide.
        classes: names of the classes that compete; none for all.
    """

    samples: Samples
    index: Tensor
    known: Tensor
    validation: Tensor
    classes: tuple[str, ...]

    @property
    def labelled(self) -> bool:
        """Whether no label is hidden."""
        return len(self.known) == len(self.index)


def training_subset(spec: RunSpec, samples: Samples, sides: Mapping[str, Tensor]) -> TrainingSubset:
    """Return what a run is shown.

    The draw of labelled samples depends on seed and fold alone, so every stage of a seed gets the same ones: those
    of ``{type: FewShot, seed: ...}`` with that seed. A label that is hidden is -1 here: no class.

    Args:
        spec: the run.
        samples: the data.
        sides: ids of the sides of the split.

    Raises:
        UserError: there are fewer samples or subjects than are to have labels.
    """
    names = samples.class_names
    index = of_classes(sides["train"], samples, spec.train_classes)
    validation = of_classes(sides["validation"], samples, spec.train_classes)
    numbers = [names.index(name) for name in spec.taken or names]
    seed = [spec.seed, spec.fold]
    train = sides["train"].numpy()
    known = torch.from_numpy(labelled_ids(spec.labelled, samples, train, seed, numbers))
    index = known if spec.shown == "labelled" else index
    known = known[:0] if spec.unlabelled else known
    hidden = index[~torch.isin(index, known)]
    samples = replace(samples, labels=samples.labels.index_fill(0, hidden, -1))
    return TrainingSubset(samples, index, known, validation, spec.train_classes)


def of_classes(index: Tensor, samples: Samples, classes: Sequence[str]) -> Tensor:
    """Return the ids whose class is among these names; all of them for no names."""
    if not classes:
        return index
    numbers = torch.tensor([samples.class_names.index(name) for name in classes])
    return index[torch.isin(samples.labels[index], numbers)]
