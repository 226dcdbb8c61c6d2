"""Weights over teachers from small networks that a meta step trains."""

from typing import ClassVar

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.losses import gram, row_normalise
from tutelage.losses.precision import full, shown
from tutelage.types import Facts, Needs, View
from tutelage.weighting.base import Weighting


class MetaLogits(Weighting):
    """Weights per sample from the logits of all teachers and of the student (MMKD, for the logits).

    A linear layer to half as many numbers, ReLU, a linear layer to one score per teacher, softmax over teachers.
    The student's logits are detached. The network is trained by :class:`tutelage.steps.BilevelStep` and by nothing
    else.

    Shapes:
        logits [B, C] of K teachers and the student -> [K, B]; for each sample they sum to one.

    Source:
        Zhang et al. 2023, MMKD (ICME), their logits weight network; reference code Rorozhl/MMKD
        ``LogitsWeight``, with its factor of 2. Gradient flows to the network's parameters, not to the student.
    """

    meta: ClassVar[bool] = True
    network: nn.Sequential
    names: tuple[str, ...]

    def prepare(self, facts: Facts) -> None:
        """Build the network for these teachers, in this order, and this number of classes."""
        self.names = tuple(facts.view.teachers)
        classes = facts.view.student.logits.shape[1]
        self.network = _network(classes * (len(self.names) + 1), len(self.names))

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return [K, B] in the order of ``view.teachers``."""
        outputs = [*(view.teachers[name] for name in self.names), view.student]
        parts = [shown(output.logits) for output in outputs]
        return _weights(self.network, parts, self.names, view)


class MetaFeatures(Weighting):
    """Weights per sample from the similarity maps of all teachers and of the student (MMKD, for features).

    Sample i brings row i of the raw map ``A Aᵀ`` of each network; the network behind it is that of
    :class:`MetaLogits`. Its size depends on the batch size, its answer on the order of the samples in the batch.

    Args:
        tap: feature whose maps are read, of the student and of every teacher.
        normalise: give every row of a map unit length first. Raw rows, as published, can be so long that the
            softmax says 0 and 1 from the first batch on, and then has no gradient to learn from.

    Shapes:
        features [B, ...] of K teachers and the student -> [K, B]; for each sample they sum to one.

    Raises:
        ValueError: the batch size is not known, a network has no such tap, or a batch has another size.

    Source:
        Zhang et al. 2023, MMKD (ICME), their feature weight network; reference code Rorozhl/MMKD
        ``FeatureWeight``: last convolutional features, raw maps (not normalised), the student's detached.
    """

    meta: ClassVar[bool] = True
    network: nn.Sequential
    names: tuple[str, ...]
    size: int

    def __init__(self, tap: str = "stage3", normalise: bool = False) -> None:
        super().__init__()
        self.tap, self.normalise = tap, normalise
        # As features: a buffer mixes samples of several batches, which no stored map knows.
        self.reads = Needs(features=frozenset({self.tap}))

    def prepare(self, facts: Facts) -> None:
        """Build the network for these teachers, in this order, and this batch size."""
        if not facts.batch_size:
            raise UserError(
                "MetaFeatures reads whole batches, and the batch size is not known here"
            )
        for who, output in {"the student": facts.view.student, **facts.view.teachers}.items():
            if self.tap not in output.features:
                there = ", ".join(sorted(output.features))
                raise UserError(f"tap: {who} has no feature {self.tap!r} (there are: {there})")
        self.names = tuple(facts.view.teachers)
        self.size = facts.batch_size
        self.network = _network(self.size * (len(self.names) + 1), len(self.names))

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return [K, B] in the order of ``view.teachers``."""
        samples = view.student.logits.shape[0]
        if samples != self.size:
            raise UserError(
                f"MetaFeatures: its network was made for batches of {self.size} samples, "
                f"and this batch has {samples}"
            )
        outputs = [*(view.teachers[name] for name in self.names), view.student]
        maps = [gram(output, self.tap) for output in outputs]
        maps = [row_normalise(rows) for rows in maps] if self.normalise else maps
        return _weights(self.network, maps, self.names, view)


def _network(inputs: int, teachers: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, inputs // 2), nn.ReLU(), nn.Linear(inputs // 2, teachers)
    )


def _weights(
    network: nn.Sequential, parts: list[Tensor], names: tuple[str, ...], view: View
) -> Tensor:
    """Return the weights [K, B] in the order of ``view.teachers``; nothing flows back into ``parts``."""
    with torch.autocast(parts[0].device.type, enabled=False):
        state = torch.cat([full(part.detach()) for part in parts], dim=1)
        rows = torch.softmax(network(state), dim=1).T
    return rows[[names.index(name) for name in view.teachers]]
