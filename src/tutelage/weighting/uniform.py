"""Every teacher counts the same."""

from typing import ClassVar

import torch
from torch import Tensor

from tutelage.types import View
from tutelage.weighting.base import Weighting


class Uniform(Weighting):
    """1/K for each of K teachers (AVER).

    Shapes:
        losses [K, B] -> [K, 1].

    Source:
        The averaging baseline of You et al. 2017 and of the CA-MKD comparison.
    """

    constant: ClassVar[bool] = True

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return [K, 1], each 1/K."""
        return torch.full((losses.shape[0], 1), 1.0 / losses.shape[0], device=losses.device)
