"""The one interface of everything a student can be asked for."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn

from tutelage.types import Facts, Needs, View


@dataclass(frozen=True, slots=True)
class Judged:
    """What an objective says of a batch.

    Args:
        loss: one number per sample, [B]; the batch mean is the paper's scalar.
        traces: what is worth recording besides, by name, [B] each, without gradient. Weights over teachers are
            ``weight.<teacher>``.
    """

    loss: Tensor
    traces: Mapping[str, Tensor] = field(default_factory=dict)


class Objective(nn.Module, ABC):
    """``View -> [B]``: one number per sample; the batch mean is the paper's scalar."""

    reads: Needs = Needs()
    """What :meth:`needs` returns, where that is known when the object is made."""

    def needs(self) -> Needs:
        """Return what this objective reads of its teachers besides logits."""
        return self.reads

    def prepare(self, facts: Facts) -> None:
        """Build adapters and constants from one dry run, before the first step."""

    def judge(self, view: View) -> Judged:
        """Return the loss and what is worth recording; this is what a distiller asks for."""
        return Judged(self(view))

    def inspect(self, view: View) -> Mapping[str, Tensor]:
        """Return what there is to look at in a batch after training, by name, [B, ...] each.

        Called in evaluation mode, without gradient, with live teachers. ``logits`` [B, C], where there are
        any, are those of a student that sees the teachers.
        """
        return {}

    @abstractmethod
    def forward(self, view: View) -> Tensor:
        """Return one number per sample, [B]."""


class TracedObjective(Objective):
    """An objective with something to record besides its loss: it says both at once, and keeps neither."""

    @abstractmethod
    def judge(self, view: View) -> Judged:
        """Return the loss and what is worth recording."""

    def forward(self, view: View) -> Tensor:
        """Return the loss alone, [B]."""
        return self.judge(view).loss
