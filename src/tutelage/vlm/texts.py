"""Embeddings of texts on disk: a thousand concepts are encoded once, not in every run."""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

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
        known = _read(path, len(texts))
        if known is not None:
            return known
        found = self.source.embed_texts(texts)
        self.folder.mkdir(parents=True, exist_ok=True)
        # Workers side by side may come here together: each writes a file of its own, and the last name wins.
        part = path.with_name(f".{path.name}.{uuid4().hex}")
        save_file({"embeddings": found.contiguous()}, part)
        part.replace(path)
        return found


def _read(path: Path, count: int) -> torch.Tensor | None:
    try:
        found = load_file(path)["embeddings"]
    except (OSError, KeyError, SafetensorError):  # absent, or cut short by a full disk
        return None
    return found if len(found) == count else None
