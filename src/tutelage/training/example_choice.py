"""Which test window is kept to look at, and how the networks see it."""

from pathlib import Path

import numpy as np

from tutelage.recipe.fold import Fold
from tutelage.runs.example import ExampleWindow

__all__ = ["write_example"]


def write_example(path: Path, data: Fold) -> None:
    """Write the liveliest class's first test window: signal, images, and one channel's persistence diagram.

    Nothing is written for image data sets.

    Args:
        path: ``example.npz``, see :class:`~tutelage.runs.example.ExampleWindow`.
        data: the fold whose test split is shown.
    """
    dataset = data.dataset
    if dataset.modality != "signal" or not len(data.split.test):
        return
    from tutelage.modalities import SublevelPersistence

    number = _liveliest(data)
    signal = np.asarray(dataset.inputs[number])
    channel = int(signal.std(axis=1).argmax())
    diagrams = SublevelPersistence().fit_transform(signal[None, channel : channel + 1])
    images = {name: np.asarray(data.values(name)[number]) for name in data.modalities}
    ExampleWindow(
        signal,
        dataset.rate or 0.0,
        tuple(dataset.channel_names) or tuple(f"channel {i + 1}" for i in range(len(signal))),
        dataset.class_names[dataset.labels[number]],
        "" if dataset.subjects is None else str(dataset.subjects[number]),
        # vectors and signals are no pictures
        {name: values for name, values in images.items() if values.ndim == 3},
        (diagrams.birth, diagrams.death),
        channel,
    ).save(path)


def _liveliest(data: Fold) -> int:
    labels = data.dataset.labels[data.split.test]
    spread = data.dataset.inputs[data.split.test].std(axis=-1).mean(axis=1)
    means = {label: spread[labels == label].mean() for label in np.unique(labels)}
    return int(data.split.test[np.argmax(labels == max(means, key=lambda label: means[label]))])
