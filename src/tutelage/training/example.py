"""One test window as the networks see it, kept beside the runs so that the report needs no data."""

import os
from pathlib import Path
from typing import Any

import numpy as np

from tutelage.recipe.fold import Fold

__all__ = ["write_example"]


def write_example(path: Path, data: Fold) -> None:
    """Write the liveliest class's first test window: signal, images, and one channel's persistence diagram.

    Nothing is written for image data sets.

    Args:
        path: an ``.npz`` file: ``signal`` [C, L], ``image-<modality>`` [C, H, W] each, ``births`` and
            ``deaths`` [P] of channel ``channel``, ``rate``, ``channel_names``, ``class_name``, ``subject``.
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
    content: dict[str, Any] = {
        "signal": signal,
        "births": diagrams.birth,
        "deaths": diagrams.death,
        "channel": channel,
        "rate": dataset.rate or 0.0,
        "channel_names": np.array(dataset.channel_names),
        "class_name": dataset.class_names[dataset.labels[number]],
        "subject": "" if dataset.subjects is None else dataset.subjects[number],
    }
    for name in data.modalities:
        values = np.asarray(data.values(name)[number])
        if values.ndim == 3:  # vectors and signals are no pictures
            content[f"image-{name}"] = values
    part = path.with_suffix(f".{os.getpid()}.part.npz")  # two commands may write it at once
    np.savez(part, **content)
    part.replace(path)


def _liveliest(data: Fold) -> int:
    labels = data.dataset.labels[data.split.test]
    spread = data.dataset.inputs[data.split.test].std(axis=-1).mean(axis=1)
    means = {label: spread[labels == label].mean() for label in np.unique(labels)}
    return int(data.split.test[np.argmax(labels == max(means, key=lambda label: means[label]))])
