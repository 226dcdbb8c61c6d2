"""The interface of a term."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from tutelage.types import Facts, Needs, Output, View


class Term(nn.Module, ABC):
    """Compares one student with one teacher: ``(student, teacher, view) -> [B]``.

    Parameters of a term (adapters, projectors) belong to the distiller: they are trained beside the
    student and dropped at export.
    """

    reads: Needs = Needs()
    """What :meth:`needs` returns, where that is known when the object is made."""

    def needs(self) -> Needs:
        """Return what this term reads of the teacher besides logits."""
        return self.reads

    def prepare(self, facts: Facts) -> None:
        """Build adapters from one dry run; ``facts.view.teachers`` holds this term's teacher alone."""

    @abstractmethod
    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return one number per sample, [B].

        Args:
            student: the student's output.
            teacher: the output of the one teacher to compare with; no gradient flows there.
            view: batch and clock; schedules read ``view.clock``.
        """
