"""Teachers that are closer to the student in a feature count more, within bounds."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from tutelage import losses
from tutelage.errors import unknown, within
from tutelage.losses.shapes import feature
from tutelage.types import Needs, View
from tutelage.weighting.base import Weighting


class Closeness(Weighting):
    """One weight per teacher and batch from the distance of a feature (the dynamic coefficient of mGLW-KD).

    ``d_k`` is the mean squared difference of student and teacher over the batch; the weights are proportional to
    1 / d_k (``closer``) or to d_k (``farther``). Weights outside their bounds are set to the bound, and the others
    share the rest in proportion. With two teachers and bounds of the first by its name this is the published rule:
    ``w_1 = max(floor, min(cap, d_2 / (d_1 + d_2)))`` and ``w_2 = 1 - w_1``. A number bounds both, so that ``w_1``
    lies between ``max(floor, 1 - cap)`` and ``min(cap, 1 - floor)``: the same where ``floor = 1 - cap``. Equal
    distances, also all zero, give equal weights.

    Args:
        tap: feature of student and teachers; ``slot_scores`` is what
            :class:`~tutelage.objectives.KnowledgeBinding` adds to its inner objectives' view.
        more: who counts more, the ``closer`` teacher or the ``farther`` one.
        floor: smallest weight of any teacher, or of the teachers named.
        cap: largest weight, likewise.

    Shapes:
        features of any sizes :func:`tutelage.losses.same_space` can bring together; losses [K, B] -> [K, 1].

    Raises:
        ValueError: a bound outside [0, 1], a floor above its cap, or bounds that no mix of these teachers fulfils.

    Source:
        Hong et al. 2025, mGLW-KD, IEEE TNNLS, DOI 10.1109/TNNLS.2025.3640274, for two teachers, where both
        rules are theirs: the text and the published trace say ``closer``, the code described to us does
        ``farther``. The values of the bounds are not published. Inverse distances and the sharing of what a
        bound cuts off, for N teachers, are ours.
    """

    def __init__(
        self,
        tap: str = "slot_scores",
        more: Literal["closer", "farther"] = "closer",
        floor: float | Mapping[str, float] = 0.1,
        cap: float | Mapping[str, float] = 0.9,
    ) -> None:
        super().__init__()
        for name, bound in {"floor": floor, "cap": cap}.items():
            for value in bound.values() if isinstance(bound, Mapping) else (bound,):
                within("[0, 1]", **{name: value})
        self.tap, self.more = tap, more
        self.floor, self.cap = floor, cap
        self.reads = Needs(features=frozenset({self.tap}))

    def forward(self, losses: Tensor, view: View) -> Tensor:
        """Return the weights of the batch, [K, 1]."""
        with torch.no_grad():
            raw = _shares(_distances(view, self.tap).double(), self.more)
            low, high = self._bounds(list(view.teachers))
            weights = bounded(raw, raw.new_tensor(low), raw.new_tensor(high))
            return weights.to(torch.promote_types(losses.dtype, torch.float32))[:, None]

    def _bounds(self, names: list[str]) -> tuple[list[float], list[float]]:
        for bound in (self.floor, self.cap):
            for name in bound if isinstance(bound, Mapping) else ():
                if name not in names:
                    raise unknown("floor" if bound is self.floor else "cap", "teacher", name, names)
        if len(names) == 1:
            return [1.0], [1.0]
        floor, cap = self.floor, self.cap
        low = [floor.get(n, 0.0) if isinstance(floor, Mapping) else floor for n in names]
        high = [cap.get(n, 1.0) if isinstance(cap, Mapping) else cap for n in names]
        if any(a > b for a, b in zip(low, high, strict=True)) or sum(low) > 1 or sum(high) < 1:
            raise ValueError(
                f"floor {low} and cap {high} leave no mix of {', '.join(names)} (allowed: floor <= cap, floors "
                "that sum to at most 1, caps that sum to at least 1)"
            )
        return low, high


def _distances(view: View, tap: str) -> Tensor:
    """Return the mean squared difference of student and teacher, per teacher, [K]."""
    own = feature(view.student, tap)
    pairs = (losses.same_space(own, feature(teacher, tap)) for teacher in view.teachers.values())
    return torch.stack([losses.mean_square(s, t).mean() for s, t in pairs])


def _shares(distances: Tensor, more: Literal["closer", "farther"]) -> Tensor:
    """Return the weights before the bounds, [K]."""
    largest = distances.max()
    relative = torch.where(largest > 0, distances / largest, torch.ones_like(distances))
    # A distance of zero against one that is not: all of the weight, or none, up to rounding.
    relative = relative.clamp(min=1e-12)
    wanted = 1 / relative if more == "closer" else relative
    return wanted / wanted.sum()


def bounded(weights: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Return ``clip(c · weights, low, high)`` with the c for which it sums to one.

    Args:
        weights: positive, [K].
        low: bounds that sum to at most one, [K].
        high: bounds that sum to at least one, [K].
    """
    # The sum is piecewise linear and rising in c: find the piece in which it passes one.
    at = torch.cat([low / weights, high / weights]).sort().values
    sums = (at[:, None] * weights).clamp(low, high).sum(dim=1)
    right = (sums < 1).sum().clamp(max=len(at) - 1)
    ends = torch.stack([(right - 1).clamp(min=0), right])
    (below, above), (start, end) = sums.gather(0, ends), at.gather(0, ends)
    rise = above - below
    part = torch.where(rise > 0, (1 - below) / rise.clamp(min=1e-300), torch.ones_like(rise))
    c = start + part * (end - start)
    clipped: Tensor = (c * weights).clamp(low, high)
    return clipped
