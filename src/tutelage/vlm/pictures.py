"""Images made ready for an image tower, in tensors, and encoders that read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.vlm.base import DualEncoder
from tutelage.vlm.resize import resized

# Of the images CLIP was trained on (openai/CLIP); most published checkpoints use them.
CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class Preparation:
    """Shorter side resized, centre cut out, standardised: what CLIP does to an image before it looks.

    Args:
        size: pixels per side, (height, width).
        mean: per channel, of values in [0, 1].
        std: per channel.
        interpolation: of the resize, ``bicubic`` or ``bilinear``.
        resize: ``shortest``: the shorter side to ``size``, then the centre is cut out; ``squash``: both sides.
        edge: pixels that the shorter side is resized to before the centre is cut out; ``size`` unless given.
        centre: where an odd number of pixels is cut away, the first kept one is ``rounded``, as in torchvision, or
            goes ``down``, as in transformers.

    Raises:
        UserError: another interpolation or way to resize, or an edge that is shorter than what is cut out.

    Source:
        openai/CLIP ``_transform`` on an RGB image. The resize is Pillow's to the bit; the image processors of
        transformers that work on tensors differ from Pillow, and so from this, by up to two levels of 255.
    """

    size: tuple[int, int]
    mean: Sequence[float] = CLIP_MEAN
    std: Sequence[float] = CLIP_STD
    interpolation: str = "bicubic"
    resize: str = "shortest"
    edge: int | None = None
    centre: Literal["rounded", "down"] = "rounded"

    def __post_init__(self) -> None:
        for name, allowed in (
            ("interpolation", ("bicubic", "bilinear")),
            ("resize", ("shortest", "squash")),
        ):
            if getattr(self, name) not in allowed:
                raise UserError(
                    f"encoder: found {name} {getattr(self, name)!r}, allowed: {', '.join(allowed)}"
                )
        if self.edge is not None and self.edge < max(self.size):
            raise UserError(
                f"encoder: found images with a shorter side of {self.edge} pixels, of which {max(self.size)} "
                f"would be cut out (allowed: {max(self.size)} or more)"
            )

    def __call__(self, x: Tensor) -> Tensor:
        """Return [B, 3, *size] of images [B, 3, height, width] in [0, 1].

        Raises:
            UserError: not such images.
        """
        if x.ndim != 4 or x.shape[1] != len(self.mean):
            raise UserError(
                f"encoder: found inputs of shape {list(x.shape[1:])}, allowed: images of {len(self.mean)} channels"
            )
        x = self._cut(self._resized(x))
        mean = torch.tensor(self.mean, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
        std = torch.tensor(self.std, dtype=x.dtype, device=x.device).view(1, -1, 1, 1)
        return (x - mean) / std

    def _resized(self, x: Tensor) -> Tensor:
        new = self._target(x.shape[2], x.shape[3])
        return x if new == x.shape[2:] else resized(x, new, self.interpolation)

    def _target(self, height: int, width: int) -> tuple[int, int]:
        rows, columns = self.size
        if self.resize == "squash":
            return rows, columns
        if self.edge is not None:
            short = min(height, width)
            return self.edge * height // short, self.edge * width // short
        # The side that needs more decides; the other is cut down afterwards. Rounded down, as torchvision does.
        if rows * width >= columns * height:
            return rows, max(columns, rows * width // height)
        return max(rows, columns * height // width), columns

    def _cut(self, x: Tensor) -> Tensor:
        for axis, size in zip((2, 3), self.size, strict=True):
            spare = x.shape[axis] - size
            x = x.narrow(axis, spare // 2 if self.centre == "down" else round(spare / 2), size)
        return x


class PictureEncoder(DualEncoder):
    """What encoders of images and text share, whichever library the model is of.

    Args:
        model: the model, with a ``logit_scale`` as logarithm.
        tokeniser: texts -> what :meth:`tokenise` makes numbers of.
        preparation: of images.
    """

    modality = "image"

    def __init__(self, model: nn.Module, tokeniser: Any, preparation: Preparation) -> None:
        super().__init__()
        self.model, self.tokeniser, self.preparation = model, tokeniser, preparation
        self.input_shape = (len(preparation.mean), *preparation.size)
        self.embed_dim = int(self._tokens(self.tokenise(["a photo"])).shape[1])

    def prepare(self, x: Tensor) -> Tensor:
        """Return images resized, cut and standardised as the model was trained with."""
        return self.preparation(x)
