"""Weights that make one step good for every teacher: the shortest mixture of their gradients."""

import torch
from torch import Tensor

from tutelage.errors import within
from tutelage.types import Facts, View
from tutelage.weighting._min_norm import min_norm_mixture
from tutelage.weighting.base import Weighting


class GradientSpace(Weighting):
    """One weight per teacher and batch: the mixture of the teachers' gradients with the smallest norm (AE-KD).

    With ``v_k`` the batch mean of the gradient of teacher k's loss with respect to the student's logits, the
    weights minimise ``|Σ a_k v_k|²`` subject to ``Σ a_k = 1`` and ``0 <= a_k <= cap``. Without the cap the mixture
    points downhill for every teacher at once; the cap keeps one teacher with small gradients from taking over.

    The gradient goes through the loss alone, never through the student: it costs K backward passes of the term on
    [B, C] tensors. It exists only where the student's output carries a gradient, that is in training. Under
    bf16 the student's logits are bf16, and so are these gradients.

    Args:
        cap: largest weight, at least 1/K; 1/K is the plain average, from 1 on there is no cap.
        at: ``logits``, or the name of a student's feature that the term depends on.
        normalise: give every ``v_k`` unit length first and divide its weight by the length afterwards, so that
            directions alone decide; the weights may then exceed the cap.

    Shapes:
        losses [K, B] -> [K, 1]. With one teacher its weight is 1; where no teacher has a gradient (``normalise``:
        where one has none), 1/K each.

    Raises:
        ValueError: ``cap`` is not positive or less than 1/K, the student's output carries no gradient, or the
            losses do not depend on what ``at`` names.

    Source:
        Du et al. 2020, AE-KD, NeurIPS 33; repository AnTuo1998/AE-KD (authors' C is ``cap``, 0.6). Published
        coefficients: 0.9 on KL at temperature 4, summed over classes; 100 on FitNet hints, with weights of their
        own at the hint feature, normalised. Differs from their code: they back-propagate once per teacher through
        the whole student to read the same gradient; they call a one-class support vector machine, the dual of this
        programme, with an absolute tolerance of 1e-6, and without ``normalise`` the inner products of real batches
        are smaller than that: it stops where it starts, at (cap, 1 - cap, 0, ...) in the order of the teachers.
        Ours is exact at any scale. They clamp an impossible cap, ours is refused.
    """

    def __init__(self, cap: float = 0.6, at: str = "logits", normalise: bool = False) -> None:
        super().__init__()
        within("(0, inf]", cap=cap)
        self.cap = cap
        self.at = at
        self.normalise = normalise

    def prepare(self, facts: Facts) -> None:
        """Compare the cap with the number of teachers, and look for the feature."""
        self._check(len(facts.view.teachers))
        self._place(facts.view)

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of this batch, [K, 1]."""
        teachers = len(losses)
        if teachers == 1:
            return torch.ones_like(losses[:, :1])
        self._check(teachers)
        vectors = self._gradients(losses, self._place(view))
        # Inner products would be taken in half precision under autocast.
        with torch.autocast(vectors.device.type, enabled=False):
            if self.normalise:
                return self._by_direction(vectors).to(losses)
            return min_norm_mixture(vectors @ vectors.T, self.cap)[:, None].to(losses)

    def _by_direction(self, vectors: Tensor) -> Tensor:
        lengths = vectors.norm(dim=1, keepdim=True)
        units = vectors / lengths.clamp_min(torch.finfo(vectors.dtype).tiny)
        shares = min_norm_mixture(units @ units.T, self.cap)[:, None].to(vectors) / lengths
        # A teacher without a gradient has no direction: then every teacher counts the same.
        return torch.where((lengths > 0).all(), shares / shares.sum(), 1 / len(vectors))

    def _check(self, teachers: int) -> None:
        if teachers > 1 and self.cap * teachers < 1:
            raise ValueError(
                f"cap: {self.cap:g} is less than one over {teachers} teachers, so their weights cannot sum to one "
                f"(allowed: at least {1 / teachers:.4g})"
            )

    def _place(self, view: View) -> Tensor:
        if self.at == "logits":
            return view.student.logits
        if self.at not in view.student.features:
            known = ", ".join(["logits", *sorted(view.student.features)])
            raise ValueError(f"at: the student has no feature {self.at!r} (there are: {known})")
        return view.student.features[self.at]

    def _gradients(self, losses: Tensor, place: Tensor) -> Tensor:
        """Return the batch mean of each teacher's gradient, [K, D], float64: in it, equal teachers stay equal."""
        if not (losses.requires_grad and place.requires_grad):
            raise ValueError(
                f"at: the student's {self.at} carry no gradient, which these weights are made of "
                "(allowed: a training step)"
            )
        # The sum over the batch, not the mean: 1/B more would underflow in half precision and changes no weight.
        gradients = [
            torch.autograd.grad(loss.sum(), place, retain_graph=True, allow_unused=True)[0]
            for loss in losses
        ]
        if any(gradient is None for gradient in gradients):
            raise ValueError(
                f"at: the losses do not depend on the student's {self.at} "
                "(allowed: what the term reads, or something computed before it)"
            )
        vectors = torch.stack([gradient.float().mean(dim=0).flatten() for gradient in gradients])
        return (
            vectors.cpu() if vectors.device.type == "mps" else vectors
        ).double()  # MPS has no float64
