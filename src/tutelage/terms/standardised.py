"""A term of logits that looks at their relations, not at their size."""

from dataclasses import replace

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class Standardised(Term):
    """Any term of logits on logits of mean 0 and standard deviation 1 over classes (logit standardisation).

    ``{type: Standardised, term: {type: SoftTargets, temperature: 2}}`` is the method of the paper.

    Args:
        term: compares logits; a temperature of its own divides the standardised ones.
        scale: multiplies the standardised logits; > 0.

    Shapes:
        logits [B, C] of both -> [B], in the unit of the term.

    Raises:
        ValueError: the term compares features, or scale <= 0.

    Source:
        Sun et al. 2024, CVPR, arXiv:2403.01427; code sunshangquan/logit-standardization-KD. See
        :func:`tutelage.losses.standardised`. Published: temperature 2 and coefficient 9 beside 0.1 labels
        (CIFAR-100), also with ``DecoupledTargets``. The scaling of TDA_KD
        (``logit_scaling: std`` of :class:`~tutelage.terms.SoftTargets`) is a scale of twice the temperature.
    """

    def __init__(self, term: Term, scale: float = 1.0) -> None:
        super().__init__()
        if term.needs() != Needs():
            raise ValueError(
                f"term: {type(term).__name__} compares features; allowed: a term of logits, such as SoftTargets"
            )
        within("(0, inf)", scale=scale)
        self.term, self.scale = term, scale

    def prepare(self, facts: Facts) -> None:
        """Let the term build what it needs."""
        self.term.prepare(facts)

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return what the term says of the standardised logits, [B]."""
        s, t = (
            replace(output, logits=self.scale * losses.standardised(output.logits))
            for output in (student, teacher)
        )
        loss: Tensor = self.term(s, t, view)
        return loss
