"""The interface of a weighting."""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn

from tutelage.types import Facts, Needs, View


class Weighting(nn.Module, ABC):
    """Weights over teachers: ``(losses [K, B], view) -> [K, B] or [K, 1]``.

    Row k belongs to the k-th teacher of ``view.teachers``. Weights are non-negative and sum to one
    over teachers unless the docstring of the class says otherwise. No gradient flows through them, unless
    the docstring says otherwise.
    """

    constant: ClassVar[bool] = False
    """Whether the weights never change, so that recording them would say nothing."""

    meta: ClassVar[bool] = False
    """Whether only a meta step may train its parameters: by the matching loss itself they would learn to
    prefer whichever teacher is easiest to match."""

    reads: Needs = Needs()
    """What :meth:`needs` returns, where that is known when the object is made."""

    def prepare(self, facts: Facts) -> None:
        """Build what depends on shapes, from one dry run with exactly the weighted teachers."""

    def needs(self) -> Needs:
        """Return what this weighting reads of the teachers besides logits."""
        return self.reads

    @abstractmethod
    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights.

        Args:
            losses: unweighted loss per teacher and sample, [K, B].
            view: the outputs of exactly these teachers, in the same order.
        """
