"""Weights between and beyond two trained networks, with their batch statistics estimated anew."""

import copy
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.batches import batches
from tutelage.errors import UserError
from tutelage.evaluate import predict
from tutelage.models import On
from tutelage.training.looking import LookedAt, test_samples

__all__ = ["ETA", "between", "interpolated", "with_statistics"]

ETA = np.round(np.arange(-1.0, 2.01, 0.2), 1)
MOST = 2000
"""Samples of each side."""


def interpolated(first: LookedAt, second: LookedAt) -> dict[str, NDArray[np.float64]]:
    """Return accuracy and loss along the line from one network to another of the same fold, [E] each.

    Args:
        first: at eta 0.
        second: at eta 1.

    Raises:
        UserError: the networks differ in more than their weights.

    Source:
        The parametric plot of Keskar et al. 2017, arXiv:1609.04836.
    """
    one, two, data = first.network(), second.network(), first.data
    _refuse_unlike(first, second, one, two)
    test, labels = test_samples(data, MOST), data.dataset.labels
    train = data.split.train[labels[data.split.train] >= 0]
    train = train[np.linspace(0, len(train) - 1, min(MOST, len(train))).astype(int)]
    samples = first.samples(one)
    sides = {"train": torch.from_numpy(train), "test": torch.from_numpy(test)}
    seen = [
        batch.inputs[one.modality].to(first.fabric.device)
        for batch in batches(samples, sides["train"], 256)
    ]
    rows: dict[str, list[float]] = {}
    for eta in ETA.tolist():
        network = between(one, two, eta)
        with_statistics(network, seen)
        for side, index in sides.items():
            logits, right = predict(network, samples, index), samples.labels[index]
            rows.setdefault(f"{side}_accuracy", []).append(
                float((logits.argmax(1) == right).float().mean())
            )
            rows.setdefault(f"{side}_loss", []).append(float(F.cross_entropy(logits, right)))
    return {name: np.asarray(values) for name, values in rows.items()}


def between(one: On, two: On, eta: float) -> On:
    """Return a network with (1 - eta) of the parameters of one and eta of another; buffers are the first's."""
    network = copy.deepcopy(one)
    others = dict(two.named_parameters())
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            parameter.lerp_(others[name].to(parameter), eta)
    return network


def with_statistics(network: On, inputs: list[Tensor]) -> None:
    """Estimate the running statistics of batch normalisation anew: the mean over these batches."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [(norm, norm.momentum) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over batches
    network.eval()
    for norm in norms:
        norm.train()
    with torch.no_grad():
        for values in inputs:
            network.on_tensor(values)
    for norm, momentum in before:
        norm.momentum = momentum
    network.eval()


def _refuse_unlike(first: LookedAt, second: LookedAt, one: On, two: On) -> None:
    if list(_shapes(one)) != list(_shapes(two)) or one.modality != two.modality:
        raise UserError(
            f"look: interpolation: the networks of {first.run.stage} and {second.run.stage} have other layers or "
            "sizes; allowed: two networks that differ in weights alone (--stages first,second)"
        )


def _shapes(network: On) -> Iterator[tuple[str, tuple[int, ...]]]:
    return ((name, tuple(p.shape)) for name, p in network.named_parameters())
