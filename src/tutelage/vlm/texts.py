"""Embeddings of texts on disk: a thousand concepts are encoded once, not in every run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from tutelage import seals
from tutelage.vlm.base import DualEncoder, EncoderSource

__all__ = ["Remembering"]


class Remembering(EncoderSource):
    """A source whose text embeddings are kept in a folder, under the hash of encoder and texts.

    Args:
        source: where the encoder is.
        folder: of the files; made when one is written.
    """

    def __init__(self, source: EncoderSource, folder: Path) -> None:
        self.source, self.folder = source, folder

    @property
    def fingerprint(self) -> str:
        """That of the source."""
        return self.source.fingerprint

    def load(self) -> DualEncoder:
        """Return the encoder."""
        return self.source.load()

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, [n, D]; the encoder is loaded only where they are not known yet."""
        text = json.dumps([self.fingerprint, list(texts)])
        path = self.folder / f"{hashlib.sha256(text.encode()).hexdigest()[:32]}.safetensors"
        return seals.kept(
            path,
            lambda path: _read(path, len(texts)),
            lambda: self.source.embed_texts(texts),
            _write,
        )


def _read(path: Path, count: int) -> Tensor:
    try:
        embeddings: Tensor = load_file(path)["embeddings"]
    except SafetensorError as error:  # cut short by a full disk
        raise ValueError(str(error)) from error
    if len(embeddings) != count:
        raise ValueError(f"{path}: {len(embeddings)} embeddings, not {count}")
    return embeddings


def _write(path: Path, embeddings: Tensor) -> None:
    save_file({"embeddings": embeddings.contiguous()}, path)
