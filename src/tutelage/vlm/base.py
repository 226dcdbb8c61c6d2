"""What a dual encoder is, and where one comes from."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.files import is_file
from tutelage.vlm import towers

__all__ = [
    "DualEncoder",
    "EncoderSource",
    "digest_of",
    "files_of",
    "text_embeddings",
    "without_texts",
]

_TEXTS = 128  # encoded at a time


class DualEncoder(nn.Module, ABC):
    """Two towers into one space: one for images or signals, one for text.

    The towers stay reachable through ``model``, so that prompts can be put into their blocks.

    Attributes:
        modality: what the first tower reads.
        input_shape: one input as the first tower sees it: (channels, height, width) or (channels, time).
        embed_dim: size of an embedding.
        model: the module that holds both towers, and the logarithm ``logit_scale``.
        tokeniser: texts -> numbers of their tokens.
        encoded: how many inputs and texts were encoded so far; a cache that works shows here.

    Shapes:
        Embeddings are [B, ``embed_dim``], float32, not normalised.
    """

    modality: Literal["image", "signal"]
    input_shape: tuple[int, ...]
    embed_dim: int
    model: Any
    tokeniser: Any

    def __init__(self) -> None:
        super().__init__()
        self.encoded = {"inputs": 0, "texts": 0}

    @property
    def logit_scale(self) -> Tensor:
        """What cosines are multiplied by to become logits, a positive scalar (1 / CLIP's temperature)."""
        scale: Tensor = self.model.logit_scale.exp()
        return scale.reshape(())

    @abstractmethod
    def prepare(self, x: Tensor) -> Tensor:
        """Return inputs as the tower wants them.

        Args:
            x: images [B, 3, height, width] in [0, 1], or signals [B, channels, time] in the units of the data.

        Raises:
            UserError: a shape that the tower cannot read.
        """

    @abstractmethod
    def _inputs(self, x: Tensor) -> Tensor:
        """Return the embeddings of prepared inputs."""

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Return the numbers that the text tower reads, [n, length], int64."""
        tokens: Tensor = self.tokeniser(list(texts))
        return tokens

    @abstractmethod
    def _tokens(self, tokens: Tensor) -> Tensor:
        """Return the embeddings of tokenised texts."""

    def image_tower(self) -> towers.Tower:
        """Return where prompts go in the tower of images or signals; to be written for a layout of one's own.

        Raises:
            UserError: ``model`` has another layout than open_clip's and Hugging Face's.
        """
        return towers.image_tower(self.model)

    def text_tower(self) -> towers.Tower:
        """Return where prompts go in the text tower; as for :meth:`image_tower`."""
        return towers.text_tower(self.model)

    def encode_inputs(self, x: Tensor) -> Tensor:
        """Return the embeddings of prepared images or signals, [B, D]; gradients flow."""
        if not torch.compiler.is_exporting():
            self.encoded["inputs"] += len(x)
        return self._inputs(x)

    def encode_tokens(self, tokens: Tensor) -> Tensor:
        """Return the embeddings of tokenised texts, [B, D]; gradients flow."""
        self.encoded["texts"] += len(tokens)
        return self._tokens(tokens)

    def encode_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, [n, D]; gradients flow."""
        device = next(self.parameters()).device
        return self.encode_tokens(self.tokenise(texts).to(device))


class EncoderSource(ABC):
    """Where the weights of a dual encoder are; cheap to build, so that a recipe can be checked without them.

    A source of your own is a class with these two members, reached from a recipe by its dotted path.
    """

    @property
    @abstractmethod
    def fingerprint(self) -> str:
        """A hash of everything that decides an embedding: architecture, weights, preparation of inputs."""

    @abstractmethod
    def load(self) -> DualEncoder:
        """Return the encoder, frozen and in evaluation mode; a new one each time, for networks change theirs.

        Raises:
            UserError: weights are missing, or do not fit the architecture exactly.
        """

    def embed_texts(self, texts: Sequence[str]) -> Tensor:
        """Return the embeddings of texts, [n, D], float32, on the CPU, without gradients."""
        return text_embeddings(self.load(), texts)


def text_embeddings(encoder: DualEncoder, texts: Sequence[str]) -> Tensor:
    """Return the embeddings of texts, [n, D], float32, on the CPU, without gradients; many at a time."""
    with torch.no_grad():
        parts = [
            encoder.encode_texts(texts[i : i + _TEXTS]).float().cpu()
            for i in range(0, len(texts), _TEXTS)
        ]
    return torch.cat(parts) if parts else torch.zeros(0, encoder.embed_dim)


def without_texts(encoder: DualEncoder) -> DualEncoder:
    """Return an encoder without what texts alone need: its text tower and its scale are gone for good.

    Args:
        encoder: changed in place. Of another layout than open_clip's and Hugging Face's nothing is found, and so
            nothing is dropped.
    """
    towers.without_texts(encoder.model)
    return encoder


def files_of(folder: Path, *more: str) -> list[Path]:
    """Return the files of a folder that decide an encoder, of the usual suffixes and others."""
    kept = {".json", ".safetensors", ".bin", ".txt", *more}
    return sorted(path for path in folder.iterdir() if path.suffix in kept)


def digest_of(*paths: Path) -> str:
    """Return a hash over the contents of files; a file that did not change is not read again.

    Raises:
        UserError: a file is missing.
    """
    whole = hashlib.sha256()
    for path in paths:
        if not is_file(path):
            raise UserError(f"encoder: {path} does not exist")
        state = path.stat()
        whole.update(f"{path.name}:{_content(path, state.st_size, state.st_mtime_ns)};".encode())
    return whole.hexdigest()


@lru_cache(maxsize=64)
def _content(path: Path, size: int, changed: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
