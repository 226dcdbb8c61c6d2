"""What every modality is: a scikit-learn transformer over batches of signals or images."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from tutelage.errors import UserError, unknown
from tutelage.modalities.topology.kernel import Array, in_threads
from tutelage.vlm.base import EncoderSource

SHAPES = {2: "[channels, time]", 3: "[channels, height, width]"}
CHUNK_BYTES = 1 << 19  # input handled at a time by one thread; its float64 copy fits in L2


class Representation(BaseEstimator):  # type: ignore[misc]  # sklearn is untyped
    """What a recipe may list among its modalities, wherever its values come from.

    Attributes:
        as_is: networks read the values without standardisation.
        encoder: the dual encoder that makes the values; None where none does.
    """

    as_is: bool = False
    encoder: EncoderSource | None = None

    @property
    def content(self) -> str:
        """What the values depend on besides the parameters, such as the content of a file; empty: nothing."""
        return ""


class SampleTransformer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn transformer of signals [N, channels, time] or images [N, channels, height, width]."""

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what goes in and comes out."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = False, True
        tags.transformer_tags.preserves_dtype = []  # ``dtype`` decides
        return tags


class Modality(SampleTransformer, Representation, ABC):
    """A representation of each sample by itself, with a few numbers learned from training data.

    Subclasses write :meth:`fit_chunks`, :meth:`_shape`, :meth:`_write` and list in ``learned`` the
    attributes that :meth:`transform` needs. ``version`` is part of every cache key: raise it when a
    change alters the numbers.
    """

    version: ClassVar[int] = 1
    learned: ClassVar[tuple[str, ...]] = ()
    dtype: str
    n_jobs: int | None

    def fit(self, X: npt.ArrayLike, y: object = None) -> Self:
        """Learn from training samples.

        Args:
            X: signals [N, channels, time] or images [N, channels, height, width].
            y: ignored.

        Returns:
            This object.

        Raises:
            UserError: wrong shape, no samples, or values that are not finite.
        """
        samples = dense(X, type(self).__name__)
        return self.fit_chunks(Pieces(lambda: chunks(samples)))

    @abstractmethod
    def fit_chunks(self, pieces: Iterable[Array]) -> Self:
        """Learn from training samples that arrive piece by piece and need not fit in memory.

        Args:
            pieces: arrays as for :meth:`fit`, cut along the samples.

        Returns:
            This object.
        """

    @abstractmethod
    def _shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the output for one sample of this shape, or refuse it."""

    @abstractmethod
    def _write(self, samples: Array, out: Array) -> None:
        """Represent finite, C-contiguous samples into ``out``."""

    @property
    def diagnostics(self) -> dict[str, float]:
        """What the training data look like through this modality; never used by ``transform``."""
        return {}

    def transform(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Represent each sample.

        Args:
            X: signals [N, channels, time] or images [N, channels, height, width]; uint8 is read as
                value / 255.
            out: C-contiguous array to write to instead of a new one.

        Returns:
            Images, [N, channels, height, width], of type ``dtype``.

        Raises:
            UserError: wrong shape, or values that are not finite.
        """
        if self.learned[0] not in vars(self):  # the full check costs as much as 50 images
            check_is_fitted(self)
        samples = dense(X, type(self).__name__)
        shape = (samples.shape[0], *self._shape(samples.shape[1:]))
        dtype = np.dtype(self.dtype)
        if out is None:
            out = np.empty(shape, dtype)
        elif out.shape != shape or out.dtype != dtype or not out.flags.c_contiguous:
            raise UserError(
                f"{type(self).__name__}.transform: out is {out.dtype} {out.shape}, "
                f"allowed: C-contiguous {dtype} {shape}"
            )
        target = out

        def work(start: int, stop: int) -> None:
            for a, b in spans(start, stop, samples):
                self._write(checked(samples[a:b], type(self).__name__), target[a:b])

        in_threads(work, shape[0], self.n_jobs)
        return out

    def set_params(self, **parameters: Any) -> Self:
        """Change parameters; what was learned under others is forgotten, so that it cannot be used by mistake.

        Args:
            parameters: as in the constructor; ``modality__sigma`` reaches an inner modality.

        Returns:
            This object; fitted only if nothing but ``n_jobs`` has changed.
        """
        super().set_params(**parameters)
        if any(name.rpartition("__")[2] != "n_jobs" for name in parameters):
            for name in vars(self).keys() - self.get_params(deep=False).keys():
                delattr(self, name)
        return self

    def fitted(self) -> dict[str, Any]:
        """Return what :meth:`fit` learned and :meth:`transform` uses, as plain JSON values."""
        check_is_fitted(self)
        return {name: getattr(self, name) for name in self.learned}

    def restore(self, state: Mapping[str, Any]) -> Self:
        """Become fitted again from what :meth:`fitted` returned.

        Args:
            state: one value per name in ``learned``.

        Returns:
            This object.

        Raises:
            UserError: names are missing or unknown.
        """
        if set(state) != set(self.learned):
            raise UserError(
                f"{type(self).__name__}.restore: found {sorted(state)}, "
                f"allowed: exactly {sorted(self.learned)}"
            )
        for name, value in state.items():
            setattr(self, name, tuple(value) if isinstance(value, list) else value)
        return self


class Pieces:
    """An iterable that begins anew each time, for a modality that looks twice."""

    def __init__(self, make: Callable[[], Iterator[Array]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Array]:
        """Begin anew."""
        return self.make()


def spans(start: int, stop: int, samples: Array) -> Iterator[tuple[int, int]]:
    """Cut ``range(start, stop)`` so that one piece of ``samples`` stays near CHUNK_BYTES."""
    size = max(1, samples.itemsize * int(np.prod(samples.shape[1:])))
    step = max(1, CHUNK_BYTES // size)
    for a in range(start, stop, step):
        yield a, min(a + step, stop)


def chunks(samples: Array) -> Iterator[Array]:
    """Yield pieces of ``samples``; at least one, so that an empty array is seen and refused."""
    if samples.ndim == 0 or samples.shape[0] == 0:
        yield samples
        return
    for a, b in spans(0, samples.shape[0], samples):
        yield samples[a:b]


def dense(X: npt.ArrayLike, place: str) -> Array:
    """Return samples as an array of at least one dimension.

    Raises:
        UserError: they are one number, or sparse.
    """
    if issparse(X):
        raise UserError(f"{place}: found a sparse matrix, allowed: dense arrays")
    samples = np.asarray(X)
    if samples.ndim == 0:
        raise UserError(f"{place}: found {samples.dtype} without any dimension, allowed: an array")
    return samples


def checked(samples: Array, place: str, finite: bool = True) -> Array:
    """Return samples as finite, writable, C-contiguous float64.

    Args:
        samples: numbers of any type; uint8 becomes value / 255.
        place: name to begin the error with.
        finite: refuse infinity as well as NaN.

    Returns:
        The same values.

    Raises:
        UserError: not numbers, or NaN or infinity found.
    """
    if samples.dtype.kind not in "fiub":
        raise UserError(f"{place}: found values of type {samples.dtype}, allowed: real numbers")
    # one layout and one type: every kernel is compiled once, and float32 loses nothing
    result = np.require(samples, np.float64, ["C", "W"])
    if samples.dtype == np.uint8:
        return result / 255.0
    good = np.isfinite(result) if finite else ~np.isnan(result)
    if not good.all():
        where = np.argwhere(~good)[0].tolist()
        raise UserError(
            f"{place}: found {result[tuple(where)]} at position {where} of a batch, allowed: "
            f"{'finite values (neither NaN nor inf)' if finite else 'anything but NaN'}; "
            "fill or drop missing samples before this step"
        )
    return result


def check_shape(place: str, sample: tuple[int, ...], dimensions: Sequence[int] = (2, 3)) -> None:
    """Refuse samples that are not of these numbers of dimensions, or hold nothing.

    Raises:
        UserError: the sentence.
    """
    if len(sample) not in dimensions or 0 in sample:
        shapes = " or ".join(SHAPES[count] for count in dimensions)
        raise UserError(
            f"{place}: found samples of shape {sample}, allowed: {shapes}, none of them 0"
        )


def one_of(place: str, choice: str, allowed: Iterable[str]) -> None:
    """Raise the sentence for a choice that does not exist."""
    names = list(allowed)
    if choice not in names:
        raise unknown(place, "choice", str(choice), names)
