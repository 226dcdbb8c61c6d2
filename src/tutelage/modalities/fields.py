"""Signals as Gramian angular fields and as Markov transition fields."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, Self

import numpy as np

from tutelage.errors import UserError
from tutelage.modalities.base import Modality, check_shape, checked, one_of
from tutelage.modalities.topology.fields import gramian_images, transition_images
from tutelage.modalities.topology.kernel import Array


class _Field(Modality):
    """What both fields share: nothing is learned but the shape of a window."""

    learned: ClassVar[tuple[str, ...]] = ("n_channels_in_", "length_in_")
    size: int | None
    dtype: str

    def fit_chunks(self, pieces: Iterable[Array]) -> Self:
        """Note the shape of the signals.

        Args:
            pieces: signals [n, C, L].

        Returns:
            This object.

        Raises:
            UserError: a parameter or the samples are not allowed.
        """
        self._check_parameters()
        seen = 0
        for piece in pieces:
            check_shape(type(self).__name__, piece.shape[1:], (2,))
            checked(piece, type(self).__name__)
            seen += len(piece)
            self.n_channels_in_, self.length_in_ = piece.shape[1:]
        if not seen:
            raise UserError(f"{type(self).__name__}.fit: found no samples, allowed: at least one")
        if self.size is not None and not 1 <= self.size <= self.length_in_:
            raise UserError(
                f"{type(self).__name__}.size: found {self.size}, "
                f"allowed: 1 to the length of the signal ({self.length_in_})"
            )
        return self

    def _check_parameters(self) -> None:
        one_of(f"{type(self).__name__}.dtype", self.dtype, ("float32", "uint8"))

    def _shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        if sample != (self.n_channels_in_, self.length_in_):
            raise UserError(
                f"{type(self).__name__}.transform: found samples of shape {sample}, "
                f"allowed: {(self.n_channels_in_, self.length_in_)} as in training"
            )
        return (sample[0], self._pixels(), self._pixels())

    def _pixels(self) -> int:
        return int(self.size or self.length_in_)


class GramianField(_Field):
    """The Gram matrix of a signal whose values are read as angles.

    The signal is averaged over ``size`` segments, scaled to [-1, 1] by its own extremes, and each
    value x becomes the angle arccos(x). A pixel is cos(angle_i + angle_j) (summation) or
    sin(angle_i - angle_j) (difference). Amplitude and offset are discarded by this scaling, unless
    ``limits`` are given. A signal whose averages differ by no more than rounding allows is scaled to -1.

    Args:
        kind: ``summation`` (GASF) or ``difference`` (GADF).
        size: pixels per side, at most the length of the signal; None: the length.
        limits: values that become -1 and 1, the same for every window and channel (clipped), for
            example (0, 1) behind :class:`~tutelage.modalities.Scaled`; None: each window's extremes.
        dtype: ``float32`` in [-1, 1]; ``uint8``: round((x + 1) * 127.5), so x = u / 127.5 - 1.
        n_jobs: threads; None: 1; -1: all cores.

    Attributes:
        n_channels_in_: channels of the input.
        length_in_: samples per window.

    Source:
        Wang and Oates 2015, "Imaging time series to improve classification and imputation",
        arXiv:1506.00327. Segments as in pyts, ``GramianAngularField`` with its defaults.
    """

    version: ClassVar[int] = 2

    def __init__(
        self,
        *,
        kind: Literal["summation", "difference"] = "summation",
        size: int | None = 64,
        limits: Sequence[float] | None = None,
        dtype: Literal["float32", "uint8"] = "float32",
        n_jobs: int | None = None,
    ) -> None:
        self.kind = kind
        self.size = size
        self.limits = limits
        self.dtype = dtype
        self.n_jobs = n_jobs

    def _check_parameters(self) -> None:
        super()._check_parameters()
        one_of("GramianField.kind", self.kind, ("summation", "difference"))
        if self.limits is not None and not (
            len(self.limits) == 2 and self.limits[0] < self.limits[1]
        ):
            raise UserError(
                f"GramianField.limits: found {list(self.limits)}, allowed: two increasing numbers, or null"
            )

    def _write(self, samples: Array, out: Array) -> None:
        # linspace and not integer division: pyts rounds its bounds like this
        bounds = np.linspace(0, samples.shape[2], self._pixels() + 1).astype(np.int64)
        limits = np.array([np.nan, np.nan] if self.limits is None else self.limits, np.float64)
        gramian_images(samples, bounds, limits, self.kind == "summation", out)


class TransitionField(_Field):
    """How likely a signal goes from the level at time i to the level at time j in one sample.

    Values are sorted into ``bins`` levels with (nearly) the same number of samples each. The
    frequencies of moves between consecutive samples, rows summing to 1, are looked up for every
    pair of times and averaged over blocks down to ``size``.

    Args:
        bins: number of levels, at least 2; levels that lie closer than 1e-8 of the window's range are merged.
        size: pixels per side, at most the length of the signal; None: the length.
        dtype: ``float32`` in [0, 1]; ``uint8``: round(255 x).
        n_jobs: threads; None: 1; -1: all cores.

    Attributes:
        n_channels_in_: channels of the input.
        length_in_: samples per window.

    Source:
        Wang and Oates 2015, arXiv:1506.00327. Levels and blocks as in pyts,
        ``MarkovTransitionField`` with ``strategy='quantile'``, ``overlapping=False``; pyts merges levels that
        are 1e-8 apart in the units of the signal.
    """

    version: ClassVar[int] = 2

    def __init__(
        self,
        *,
        bins: int = 8,
        size: int | None = 64,
        dtype: Literal["float32", "uint8"] = "float32",
        n_jobs: int | None = None,
    ) -> None:
        self.bins = bins
        self.size = size
        self.dtype = dtype
        self.n_jobs = n_jobs

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self.bins < 2:
            raise UserError(f"TransitionField.bins: found {self.bins}, allowed: at least 2")

    def _write(self, samples: Array, out: Array) -> None:
        length = samples.shape[2]
        bounds = np.linspace(0, length, self._pixels() + 1).astype(np.int64)
        inner = np.linspace(0, 100, self.bins + 1)[1:-1]
        edges = np.percentile(samples.astype(np.float64), inner, axis=2)
        transition_images(samples, np.ascontiguousarray(np.moveaxis(edges, 0, 2)), bounds, out)
