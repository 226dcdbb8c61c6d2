"""A dual encoder for signals and text, trained here: there is no published one for wearables."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.vlm.base import DualEncoder, EncoderSource, digest_of
from tutelage.vlm.open_clip import import_open_clip

__all__ = ["SignalText", "SignalTextEncoder", "SignalTower", "Sizes", "save_signal_text"]

_CONFIG = "signal_text.json"
_WEIGHTS = "signal_text.safetensors"
_START = 1 / 0.07  # of the logit scale, as in CLIP


@dataclass(frozen=True)
class Sizes:
    """How large both towers are.

    Args:
        channels: of a signal.
        length: samples of a window; a multiple of ``patch``.
        patch: samples that become one token.
        width: of the signal tower.
        layers: of the signal tower.
        heads: of the signal tower.
        text_width: of the text tower.
        text_layers: of the text tower.
        text_heads: of the text tower.
        context: tokens of a text, start and end included.
        embed_dim: of an embedding.

    Raises:
        UserError: the patch does not divide the length, or the heads a width.
    """

    channels: int
    length: int
    patch: int = 8
    width: int = 96
    layers: int = 3
    heads: int = 3
    text_width: int = 96
    text_layers: int = 2
    text_heads: int = 3
    context: int = 24
    embed_dim: int = 96

    def __post_init__(self) -> None:
        for whole, part, place in (
            (self.length, self.patch, "patch"),
            (self.width, self.heads, "heads"),
            (self.text_width, self.text_heads, "text_heads"),
        ):
            if part < 1 or whole % part:
                raise UserError(f"sizes.{place}: found {part}, which does not divide {whole}")


class SignalTower(nn.Module):
    """CLIP's vision transformer with patches along time; its layers have the names of open_clip's image tower.

    Args:
        sizes: of the tower.

    Shapes:
        [B, channels, time] -> [B, ``embed_dim``].

    Source:
        Radford et al. 2021, arXiv:2103.00020, with one axis instead of two.
    """

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        blocks = import_open_clip().transformer.Transformer
        width, scale = sizes.width, sizes.width**-0.5
        self.conv1 = nn.Conv1d(sizes.channels, width, sizes.patch, stride=sizes.patch, bias=False)
        self.class_embedding = nn.Parameter(scale * torch.randn(width))
        tokens = sizes.length // sizes.patch + 1
        self.positional_embedding = nn.Parameter(scale * torch.randn(tokens, width))
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = blocks(width, sizes.layers, sizes.heads)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(scale * torch.randn(width, sizes.embed_dim))

    def forward(self, x: Tensor) -> Tensor:
        """Return embeddings of standardised signals."""
        x = self.conv1(x).mT
        first = self.class_embedding.expand(x.shape[0], 1, -1)
        x = self.ln_pre(torch.cat([first, x], dim=1) + self.positional_embedding)
        found: Tensor = self.ln_post(self.transformer(x)[:, 0]) @ self.proj
        return found


class _Towers(nn.Module):
    """Both towers, named as in open_clip."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        text = import_open_clip().transformer.TextTransformer
        self.visual = SignalTower(sizes)
        self.text = text(
            context_length=sizes.context,
            width=sizes.text_width,
            heads=sizes.text_heads,
            layers=sizes.text_layers,
            output_dim=sizes.embed_dim,
        )
        self.logit_scale = nn.Parameter(torch.tensor(_START).log())


class SignalTextEncoder(DualEncoder):
    """Signals and text in one space.

    Args:
        sizes: of the towers.
        mean: of the signals it is trained on, per channel, in the units of the data.
        std: the same for the standard deviation.

    Raises:
        UserError: not one number per channel, or open_clip (its text transformer and tokeniser) is not installed.
    """

    modality = "signal"
    mean: Tensor
    std: Tensor

    def __init__(self, sizes: Sizes, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        if len(mean) != sizes.channels or len(std) != sizes.channels:
            raise UserError(
                f"encoder: found {len(mean)} means and {len(std)} deviations for {sizes.channels} channels"
            )
        self.sizes = sizes
        self.tokeniser = import_open_clip().SimpleTokenizer(context_length=sizes.context)
        self.model = _Towers(sizes)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1))
        self.input_shape = (sizes.channels, sizes.length)
        self.embed_dim = sizes.embed_dim

    def prepare(self, x: Tensor) -> Tensor:
        """Return signals standardised by what the encoder was trained on.

        Raises:
            UserError: another number of channels or another length.
        """
        if x.shape[1:] != self.input_shape:
            raise UserError(
                f"encoder: found signals of shape {list(x.shape[1:])}, allowed: {list(self.input_shape)}, as it "
                "was trained on"
            )
        return (x - self.mean) / self.std

    def _inputs(self, x: Tensor) -> Tensor:
        embeddings: Tensor = self.model.visual(x)
        return embeddings

    def _tokens(self, tokens: Tensor) -> Tensor:
        embeddings: Tensor = self.model.text(tokens)
        return embeddings


class SignalText(EncoderSource):
    """A dual encoder for signals, from a folder that :func:`save_signal_text` wrote.

    Args:
        folder: holds ``signal_text.json`` and ``signal_text.safetensors``.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def fingerprint(self) -> str:
        """A hash of the two files."""
        folder = Path(self.folder)
        return digest_of(folder / _CONFIG, folder / _WEIGHTS)

    def load(self) -> SignalTextEncoder:
        """Return the encoder, frozen.

        Raises:
            UserError: a file is missing or damaged, or the weights do not fit the description exactly.
        """
        folder = Path(self.folder)
        try:
            about: dict[str, Any] = json.loads((folder / _CONFIG).read_text())
            encoder = SignalTextEncoder(Sizes(**about["sizes"]), about["mean"], about["std"])
            encoder.load_state_dict(load_file(folder / _WEIGHTS))
        except Exception as error:  # a wrong description can make torch raise nearly anything
            raise UserError(
                f"encoder: {folder} holds no readable signal-text encoder ({one_line(error)})"
            ) from error
        return encoder.eval().requires_grad_(False)


def save_signal_text(folder: Path, encoder: SignalTextEncoder, about: str) -> None:
    """Write an encoder for :class:`SignalText`.

    Args:
        folder: made if absent.
        encoder: the trained encoder.
        about: on what it was trained, for the reader.
    """
    folder.mkdir(parents=True, exist_ok=True)
    described = {
        "about": about,
        "sizes": asdict(encoder.sizes),
        "mean": encoder.mean.flatten().tolist(),
        "std": encoder.std.flatten().tolist(),
    }
    (folder / _CONFIG).write_text(json.dumps(described, indent=1) + "\n")
    state = {name: value.contiguous() for name, value in encoder.state_dict().items()}
    save_file(state, folder / _WEIGHTS)
