"""The one interface of everything a student can be asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping

from torch import Tensor, nn

from tutelage.types import Facts, Needs, View


class Objective(nn.Module, ABC):
    """``View -> [B]``: one number per sample; the batch mean is the paper's scalar."""

    def needs(self) -> Needs:
        """Return what this objective reads of its teachers besides logits."""
        return Needs()

    def prepare(self, facts: Facts) -> None:
        """Build adapters and constants from one dry run, before the first step."""

    def traces(self) -> Mapping[str, Tensor]:
        """Return what is worth recording of the latest forward besides the loss, by name, [B] each.

        Weights over teachers are ``weight.<teacher>``. They carry no gradient.
        """
        return {}

    def inspect(self, view: View) -> Mapping[str, Tensor]:
        """Return what there is to look at in a batch after training, by name, [B, ...] each.

        Called in evaluation mode, without gradient, with live teachers. ``logits`` [B, C], where there are
        any, are those of a student that sees the teachers.
        """
        return {}

    @abstractmethod
    def forward(self, view: View) -> Tensor:
        """Return one number per sample, [B]."""
