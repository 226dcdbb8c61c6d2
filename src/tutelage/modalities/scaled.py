"""Channels brought to one scale, learned from training data, before another modality sees them."""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
from sklearn.base import clone

from tutelage.errors import UserError
from tutelage.modalities.base import Modality, check_shape, checked
from tutelage.modalities.topology.kernel import Array
from tutelage.moments import Moments, resolution


class Scaled(Modality):
    """Each channel mapped to [0, 1] and clipped, then another modality.

    Ranges of persistence images are shared by all channels: acceleration in g beside angular velocity in
    rad/s would squeeze the first into a few pixels. And a Gramian field with ``limits=(0, 1)`` behind this
    keeps amplitude and offset, which its scaling by each window's own extremes discards.

    Args:
        modality: what sees the scaled channels.
        width: a channel's range is its training mean ± ``width`` standard deviations; None: the extremes of
            the training data, as the published sensor code does with constants.

    Attributes:
        low_: lower end per channel, in the units of the input.
        high_: upper end per channel.
        modality_: a copy of ``modality``, fitted on scaled channels.

    Source:
        The published recipe for persistence images of PAMAP2 scales each channel to [0, 1] with fixed
        extremes and clips; here the range is learned from the training split.
    """

    version: ClassVar[int] = 2
    learned: ClassVar[tuple[str, ...]] = ("low_", "high_", "inner_")

    def __init__(self, modality: Modality, *, width: float | None = 4.0) -> None:
        self.modality = modality
        self.width = width

    @property
    def dtype(self) -> str:  # type: ignore[override]
        """Type of the output: that of the inner modality."""
        return self._inner.dtype

    @property
    def n_jobs(self) -> int | None:  # type: ignore[override]
        """Threads of the inner modality."""
        return self._inner.n_jobs

    @property
    def content(self) -> str:
        """What the inner modality depends on besides its parameters."""
        return self._inner.content

    @property
    def diagnostics(self) -> dict[str, float]:
        """What the inner modality saw."""
        return self._inner.diagnostics

    def fit_chunks(self, pieces: Iterable[Array]) -> Self:
        """Learn the range of every channel, then let the inner modality learn from scaled pieces.

        Args:
            pieces: signals [n, C, L] or pictures [n, C, H, W]; iterated twice.

        Returns:
            This object.

        Raises:
            UserError: ``width`` is not positive, or the samples are not allowed.
        """
        if self.width is not None and not self.width > 0:
            raise UserError(
                f"Scaled.width: found {self.width}, allowed: a positive number, or null"
            )
        moments, coarsest = Moments(), 0.0
        low, high = np.array([np.inf]), np.array([-np.inf])
        for piece in pieces:
            check_shape("Scaled", piece.shape[1:])
            if not len(piece):
                continue
            flat = np.moveaxis(checked(piece, "Scaled"), 1, 0).reshape(piece.shape[1], -1)
            moments.add(flat)
            coarsest = max(coarsest, resolution(piece.dtype))
            low, high = np.minimum(low, flat.min(1)), np.maximum(high, flat.max(1))
        if not moments.count:
            raise UserError("Scaled.fit: found no samples, allowed: at least one")
        constant = high - low <= coarsest * moments.largest
        if self.width is not None:
            reach = self.width * moments.std
            low, high = (
                np.maximum(low, moments.mean - reach),
                np.minimum(high, moments.mean + reach),
            )
        high = np.where(constant, low, high)
        self.low_, self.high_ = tuple(low.tolist()), tuple(high.tolist())
        self.modality_ = clone(self.modality)
        self.modality_.fit_chunks(self._scale(checked(p, "Scaled")) for p in pieces if len(p))
        self.inner_ = self.modality_.fitted()
        return self

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become fitted again from what :meth:`fitted` returned."""
        super().restore(state)
        self.modality_ = clone(self.modality).restore(self.inner_)
        return self

    @property
    def _inner(self) -> Modality:
        """The fitted copy, which nobody else uses; before ``fit`` what was given."""
        inner: Modality = vars(self).get("modality_", self.modality)
        return inner

    def _scale(self, samples: Array) -> Array:
        shape = (1, -1) + (1,) * (samples.ndim - 2)
        low, high = np.reshape(self.low_, shape), np.reshape(self.high_, shape)
        wide = np.where(high > low, high - low, np.inf)  # a channel that never changes becomes 0
        return np.clip((samples - low) / wide, 0.0, 1.0)

    def _shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        if sample[:1] != (len(self.low_),):
            raise UserError(
                f"Scaled.transform: found {sample[0] if sample else 0} channels, "
                f"allowed: {len(self.low_)} as in training"
            )
        return self._inner._shape(sample)

    def _write(self, samples: Array, out: Array) -> None:
        self._inner._write(np.ascontiguousarray(self._scale(samples)), out)
