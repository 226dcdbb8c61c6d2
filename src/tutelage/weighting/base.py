"""The interface of a weighting."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from tutelage.types import Needs, View


class Weighting(nn.Module, ABC):
    """Weights over teachers: ``(losses [K, B], view) -> [K, B] or [K, 1]``.

    Row k belongs to the k-th teacher of ``view.teachers``. Weights are non-negative and sum to one
    over teachers unless the docstring of the class says otherwise.
    """

    def needs(self) -> Needs:
        """Return what this weighting reads of the teachers besides logits."""
        return Needs()

    @abstractmethod
    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights.

        Args:
            losses: unweighted loss per teacher and sample, [K, B].
            view: the outputs of exactly these teachers, in the same order.
        """
