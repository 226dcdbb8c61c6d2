"""Random changes of pictures."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from tutelage.augment.base import Augment
from tutelage.errors import UserError, within


@dataclass(frozen=True)
class CropFlip(Augment):
    """Random crop after padding, and a horizontal flip: the augmentation of the CIFAR recipes.

    Args:
        padding: pixels added on each side.
        flip: probability of a horizontal flip.
        mode: what the added pixels are: ``zero``, or ``reflect`` (the picture mirrored at its border, which
            is not repeated).
    """

    padding: int = 4
    flip: float = 0.5
    mode: Literal["zero", "reflect"] = "zero"

    def __post_init__(self) -> None:
        within("[0, inf)", **{"CropFlip.padding": self.padding})
        within("[0, 1]", **{"CropFlip.flip": self.flip})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, height, width] of the same type.

        Raises:
            UserError: the reflection would be wider than the picture.
        """
        count, _, height, width = x.shape
        reach = 2 * self.padding + 1
        top = torch.randint(0, reach, (count, 1), generator=generator)
        left = torch.randint(0, reach, (count, 1), generator=generator)
        flipped = torch.rand(count, 1, generator=generator) < self.flip
        columns = torch.arange(width).expand(count, width)
        columns = torch.where(flipped, width - 1 - columns, columns) + left
        rows = torch.arange(height) + top
        if self.mode == "zero":
            x = torch.nn.functional.pad(x, [self.padding] * 4)
        else:
            if self.padding >= min(height, width):
                raise UserError(
                    f"CropFlip.padding: found {self.padding}, allowed for reflect are 0 to "
                    f"{min(height, width) - 1}, less than the picture of {width}x{height} pixels"
                )
            rows = _reflected(rows - self.padding, height)
            columns = _reflected(columns - self.padding, width)
        sample = torch.arange(count)[:, None, None]
        # One gather for the whole batch; the channel axis moves last and back.
        picked = x.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]]
        return picked.permute(0, 3, 1, 2)

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places moved in the same way."""
        return self(places, generator)


def _reflected(position: Tensor, size: int) -> Tensor:
    """Return positions mirrored into 0 to size - 1; -1 becomes 1."""
    return (size - 1) - ((size - 1) - position.abs()).abs()


@dataclass(frozen=True)
class RandomResizedCrop(Augment):
    """A random part of each picture, resized to one size, and a horizontal flip: the ImageNet recipe.

    The resizing is bilinear with antialiasing (the filter widens where the part is shrunk). Parts are drawn as
    torchvision's class of this name does: ten attempts, then the largest central part with an allowed ratio.

    Args:
        size: height and width of the result in pixels.
        scale: smallest and largest area of the part, as a fraction of the picture's.
        ratio: smallest and largest width / height of the part.
        flip: probability of a horizontal flip.

    Source:
        Szegedy et al. 2015, arXiv:1409.4842, sec. 6.
    """

    size: int
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    flip: float = 0.5

    def __post_init__(self) -> None:
        if self.size < 1:
            raise UserError(f"RandomResizedCrop.size: found {self.size}, allowed are 1 or more")
        within("[0, 1]", **{"RandomResizedCrop.flip": self.flip})
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UserError(
                f"RandomResizedCrop.scale: found {list(self.scale)}, allowed are two rising numbers "
                "above 0 and up to 1"
            )
        if not 0 < self.ratio[0] <= self.ratio[1] < math.inf:
            raise UserError(
                f"RandomResizedCrop.ratio: found {list(self.ratio)}, allowed are two rising numbers above 0"
            )

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, size, size] of the same type; whole numbers are rounded."""
        return self._cut(x, generator, _resized)

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places moved in the same way, each position with the number of the nearest one."""
        return self._cut(places, generator, _nearest)

    def _cut(
        self, x: Tensor, generator: torch.Generator, resize: Callable[[Tensor, int], Tensor]
    ) -> Tensor:
        count, _, height, width = x.shape
        top, left, tall, wide = self.boxes(count, height, width, generator)
        flipped = torch.rand(count, generator=generator) < self.flip
        found = x.new_empty(count, x.shape[1], self.size, self.size)
        boxes = zip(*(part.tolist() for part in (top, left, tall, wide, flipped)), strict=True)
        for one, picture, (row, column, rows, columns, mirrored) in zip(
            found, x, boxes, strict=True
        ):
            resized = resize(picture[:, row : row + rows, column : column + columns], self.size)
            one.copy_(resized.flip(-1) if mirrored else resized)
        return found

    def boxes(
        self, count: int, height: int, width: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return top, left, height and width of one part for each picture, [count] int64 each."""
        low, high = (math.log(value) for value in self.ratio)
        smallest, largest = self.scale
        area = smallest + (largest - smallest) * torch.rand(10, count, generator=generator)
        ratio = torch.exp(low + (high - low) * torch.rand(10, count, generator=generator))
        wide = torch.sqrt(area * height * width * ratio).round().long()
        tall = torch.sqrt(area * height * width / ratio).round().long()
        fits = (wide > 0) & (wide <= width) & (tall > 0) & (tall <= height)
        first = fits.int().argmax(dim=0, keepdim=True)  # the first attempt that fits
        central_wide = min(width, round(height * self.ratio[1]))
        central_tall = min(height, round(width / self.ratio[0]))
        found = fits.any(dim=0)
        wide = torch.where(found, wide.gather(0, first)[0], central_wide)
        tall = torch.where(found, tall.gather(0, first)[0], central_tall)
        where = torch.rand(2, count, generator=generator)
        top = torch.where(found, (where[0] * (height - tall + 1)).long(), (height - tall) // 2)
        left = torch.where(found, (where[1] * (width - wide + 1)).long(), (width - wide) // 2)
        return top, left, tall, wide


def _resized(picture: Tensor, size: int) -> Tensor:
    """Return a picture [channels, height, width] at ``size`` squared; whole numbers are rounded."""
    # Bytes are resized as bytes, six times as fast as in float32; other devices lack that.
    bytes_too = picture.dtype == torch.uint8 and picture.device.type == "cpu"
    known = bytes_too or picture.dtype in (torch.float32, torch.float64)
    ready = picture if known else picture.float()
    found = torch.nn.functional.interpolate(
        ready[None], (size, size), mode="bilinear", align_corners=False, antialias=True
    )[0]
    return (found if known or picture.is_floating_point() else found.round_()).to(picture.dtype)


def _nearest(picture: Tensor, size: int) -> Tensor:
    """Return a picture of numbers at ``size`` squared, none of them mixed."""
    wanted = torch.arange(size)
    rows, columns = (((wanted + 0.5) * n / size).long() for n in picture.shape[1:])
    return picture[:, rows[:, None], columns]


@dataclass(frozen=True)
class Rotation(Augment):
    """Each picture turned about its centre by a random angle, after a random horizontal flip.

    Bilinear; what comes from outside the picture is zero. The size stays. The CUB recipe of CCT trains with it.

    Args:
        degrees: largest angle in either direction, 0 to 180.
        flip: probability of a horizontal flip.
    """

    degrees: float = 30.0
    flip: float = 0.5

    def __post_init__(self) -> None:
        within("[0, 180]", **{"Rotation.degrees": self.degrees})
        within("[0, 1]", **{"Rotation.flip": self.flip})

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, height, width] of the same type; whole numbers are rounded."""
        found = self._turned(x.float(), generator, "bilinear")
        return (found if x.is_floating_point() else found.round_()).to(x.dtype)

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places moved in the same way, each position with the number of the nearest one."""
        return self._turned(places.double(), generator, "nearest").to(places.dtype)

    def _turned(self, x: Tensor, generator: torch.Generator, mode: str) -> Tensor:
        count, _, height, width = x.shape
        angle = (2 * torch.rand(count, generator=generator) - 1) * math.radians(self.degrees)
        sign = 1 - 2 * (torch.rand(count, generator=generator) < self.flip).float()
        cos, sin, none = torch.cos(angle), torch.sin(angle), torch.zeros(count)
        # In units of half a picture, so that a picture that is not square is turned, not sheared.
        from_x = torch.stack([sign * cos, -sign * sin * height / width, none], dim=1)
        from_y = torch.stack([sin * width / height, cos, none], dim=1)
        grid = torch.nn.functional.affine_grid(
            torch.stack([from_x, from_y], dim=1), [count, 1, height, width], align_corners=False
        )
        return torch.nn.functional.grid_sample(
            x, grid.to(x.dtype), mode=mode, padding_mode="zeros", align_corners=False
        )
