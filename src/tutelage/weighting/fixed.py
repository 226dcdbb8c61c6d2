"""Named constant weights."""

import math
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from tutelage.errors import UserError, unknown, within
from tutelage.types import View
from tutelage.weighting.base import Weighting


class Fixed(Weighting):
    """One constant per teacher, by the teacher's name: no bare alpha, no confusion of roles.

    Args:
        weights: teacher name -> weight, >= 0, summing to one.

    Shapes:
        losses [K, B] -> [K, 1].

    Raises:
        ValueError: a weight is negative, or they do not sum to one (within 1e-6).

    Source:
        The fixed mixes of TDA_KD, TGD and TPKD (their alpha and 1 - alpha).
    """

    constant: ClassVar[bool] = True

    def __init__(self, weights: Mapping[str, float]) -> None:
        super().__init__()
        within("[0, inf)", **{f"weights.{name}": weight for name, weight in weights.items()})
        total = math.fsum(weights.values())
        if abs(total - 1) > 1e-6:
            raise ValueError(f"weights: {dict(weights)} sum to {total:g}, not to 1")
        self.weights = dict(weights)

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return [K, 1] in the order of ``view.teachers``."""
        for name in view.teachers:
            if name not in self.weights:
                raise unknown("weights", "teacher", name, self.weights)
        for name in self.weights:
            if name not in view.teachers:
                raise UserError(
                    f"weights: a weight is given for {name!r}, which is not a teacher here "
                    f"(teachers: {', '.join(view.teachers)})"
                )
        column = [self.weights[name] for name in view.teachers]
        return torch.tensor(column, device=losses.device, dtype=torch.float32)[:, None]
