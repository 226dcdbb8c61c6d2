"""Images or signals as vectors of a frozen dual encoder."""

from collections.abc import Iterable
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from sklearn.utils.validation import check_is_fitted

from tutelage.errors import UserError
from tutelage.modalities.base import Modality
from tutelage.modalities.topology.kernel import Array
from tutelage.vlm.base import DualEncoder, EncoderSource

_TOGETHER = 256  # samples encoded at a time


class Embedding(Modality):
    """What the image (or signal) tower of a dual encoder says of each sample: one vector.

    Nothing is learned here; the encoder is frozen. A network on this input reads [D] numbers that are not
    standardised, because similarities to texts are measured with them as they are.

    Args:
        encoder: where the dual encoder is; its content is part of the key of the cache.

    Attributes:
        size_: D.

    Shapes:
        images [N, 3, height, width] (uint8 or in [0, 1]) or signals [N, channels, time] -> [N, D], float32, not
        normalised.
    """

    learned: ClassVar[tuple[str, ...]] = ("size_",)
    as_is = True
    encoder: EncoderSource
    dtype: str = "float32"
    n_jobs: int | None = None

    def __init__(self, encoder: EncoderSource) -> None:
        self.encoder = encoder

    @property
    def content(self) -> str:
        """What the numbers depend on besides parameters: the weights of the encoder."""
        return self.encoder.fingerprint

    def fit_chunks(self, pieces: Iterable[Array]) -> Self:
        """Compare the samples with what the encoder reads.

        Args:
            pieces: samples; only the first is looked at.

        Returns:
            This object.

        Raises:
            UserError: no samples, or the encoder cannot be loaded or cannot read them.
        """
        first = next(iter(pieces), None)
        if first is None or not len(first):
            raise UserError("Embedding.fit: found no samples, allowed: at least one")
        encoder = self._loaded()
        kind = "image" if first.ndim == 4 else "signal"
        if encoder.modality != kind:
            raise UserError(
                f"Embedding.encoder: reads {encoder.modality}s, but the input is a {kind}"
            )
        encoder.prepare(_tensor(first[:1]))
        self.size_ = encoder.embed_dim
        return self

    def transform(self, X: npt.ArrayLike, out: Array | None = None) -> Array:
        """Represent each sample.

        Args:
            X: images (uint8 is read as value / 255) or signals.
            out: array to write to instead of a new one.

        Returns:
            [N, D], float32.

        Raises:
            UserError: wrong shape, or values that are not finite.
        """
        check_is_fitted(self)
        samples = np.asarray(X)
        if out is None:
            out = np.empty((len(samples), self.size_), np.float32)
        encoder = self._loaded()
        device = next(encoder.parameters()).device
        with torch.no_grad():
            for start in range(0, len(samples), _TOGETHER):
                x = _tensor(samples[start : start + _TOGETHER]).to(device)
                vectors = encoder.encode_inputs(encoder.prepare(x)).float().cpu()
                out[start : start + _TOGETHER] = vectors.numpy()
        return out

    def _shape(self, sample: tuple[int, ...]) -> tuple[int, ...]:
        return (self.size_,)

    def _write(self, samples: Array, out: Array) -> None:
        self.transform(samples, out=out)

    def _loaded(self) -> DualEncoder:
        if "_network" not in vars(self):
            device = "cuda" if torch.cuda.is_available() else "cpu"
            self._network = self.encoder.load().to(device)
        return self._network

    def __getstate__(self) -> dict[str, object]:
        """Leave the loaded encoder out: it is read again where it is needed."""
        return {name: value for name, value in vars(self).items() if name != "_network"}


def _tensor(samples: Array) -> torch.Tensor:
    """Return float32 values; bytes become value / 255, anything that is not finite is refused."""
    if samples.dtype.kind not in "fiub":
        raise UserError(f"Embedding: found values of type {samples.dtype}, allowed: real numbers")
    x = torch.from_numpy(np.array(samples, np.float32))
    if samples.dtype == np.uint8:
        return x / 255
    if not bool(x.isfinite().all()):
        raise UserError("Embedding: found NaN or infinite values, allowed: finite ones")
    return x
