"""Teachers that are sure of a sample count more for it."""

from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.types import Facts, View
from tutelage.weighting.base import Weighting
from tutelage.weighting.complement import complement

Form = Literal["normalised", "legacy", "softmax", "complement"]


class Entropy(Weighting):
    """Weights per sample that fall with the entropy of each teacher's prediction (EBKD, DE-MKD).

    Args:
        form: with ``H_k`` the entropy of teacher k at temperature 1 and K teachers,
            ``normalised``: (1 - H_k / ΣH) / (K - 1); ``legacy``: 1 - H_k / ΣH, which sums to K - 1 and not to
            one; ``softmax``: softmax over teachers of -H; ``complement``: (1 - softmax over teachers of H) /
            (K - 1). The first two look at ratios of entropies, the last two at differences.

    Shapes:
        losses [K, B] -> [K, B].

    Raises:
        ValueError: ``legacy`` with one teacher, whose weight would be 0.

    Source:
        EBKD as in the comparison of CA-MKD: repository Rorozhl/CA-MKD, ``helper/loops.py``. Their loss is
        ``legacy`` divided by K more: (K - 1) / K times ours with ``normalised``, so a published coefficient a
        becomes a (K - 1) / K here. Theirs is NaN where a probability underflows, or where every entropy is 0;
        ours are finite and equal there. The last two forms belong to DE-MKD (Cheng et al. 2024, Mathematics
        12(11):1672), whose formula we could not read: they are a reconstruction from its abstract.
    """

    def __init__(self, form: Form = "normalised") -> None:
        super().__init__()
        self.form: Form = form

    def prepare(self, facts: Facts) -> None:
        """Refuse a single teacher that would weigh nothing."""
        self._check(len(facts.view.teachers))

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of each sample, [K, B]."""
        self._check(len(view.teachers))
        with torch.no_grad():
            return weights(entropies(view), self.form)

    def _check(self, teachers: int) -> None:
        if self.form == "legacy" and teachers == 1:
            raise ValueError(
                "form: 'legacy' weights sum to the number of teachers minus one, which is 0 with one "
                "teacher; allowed with one: 'normalised', 'softmax', 'complement'"
            )


def entropies(view: View) -> Tensor:
    """Return the entropy of every teacher for every sample, [K, B], in nats."""
    return torch.stack([losses.entropy(teacher.logits) for teacher in view.teachers.values()])


def weights(entropy: Tensor, form: Form) -> Tensor:
    """Return the weights that belong to entropies, [K, B] -> [K, B]."""
    teachers = entropy.shape[0]
    if form == "softmax":
        return torch.softmax(-entropy, dim=0)
    if form == "complement":
        return complement(entropy)
    if teachers == 1:
        return torch.ones_like(entropy)
    total = entropy.sum(dim=0, keepdim=True)
    # Where every teacher is certain, none is more certain than the others.
    share = torch.where(total > 0, entropy / total, 1 / teachers)
    return 1 - share if form == "legacy" else (1 - share) / (teachers - 1)
