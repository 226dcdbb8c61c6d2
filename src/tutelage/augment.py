"""Random changes of training inputs, as batched tensor operations."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from tutelage.errors import UserError, unknown
from tutelage.types import Batch

__all__ = [
    "Augment",
    "CropFlip",
    "CutMix",
    "Jitter",
    "Missing",
    "Mixup",
    "RandomResizedCrop",
    "Rotation",
    "Scaling",
    "Shift",
    "augmented",
]

# Names of a data set's own input, at whose places concepts are annotated.
_OWN = ("signal", "image")


class Augment(ABC):
    """A random change of one modality: ``([B, ...], generator) -> [B, ...]``."""

    @abstractmethod
    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return the changed inputs; the given ones are not written to."""

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Move a map of places as the same draws of the generator move the inputs.

        Args:
            places: numbers of the places that the positions of each input belong to, [B, 1, ...], whole numbers
                from 1 on.
            generator: in the state in which the inputs were changed.

        Returns:
            The numbers where they are now, 0 where there is nothing of the input.

        Raises:
            UserError: it is not known how this change moves places.
        """
        raise UserError(
            f"augment: concepts are annotated at places, and {type(self).__name__} does not say how it moves them "
            "(allowed: a change with the method follow)"
        )


class Mix(ABC):
    """Mixes the samples of a batch with one another: inputs, and the classes that go with them."""

    @abstractmethod
    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch with ``partner`` and ``share`` set; the given one is not written to."""


@dataclass(frozen=True)
class Jitter(Augment):
    """Gaussian noise on a signal.

    Args:
        sigma: standard deviation in units of each sample's own standard deviation per channel.
    """

    sigma: float = 0.05

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with noise added."""
        noise = torch.randn(x.shape, generator=generator)
        return x + noise * x.float().std(dim=-1, keepdim=True) * self.sigma

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places as they are: nothing moves."""
        return places


@dataclass(frozen=True)
class Scaling(Augment):
    """One random gain per sample and channel.

    Args:
        sigma: standard deviation of the gain around 1.
    """

    sigma: float = 0.1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with scaled channels."""
        gain = 1 + self.sigma * torch.randn(x.shape[0], x.shape[1], 1, generator=generator)
        return x * gain

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places as they are: nothing moves."""
        return places


@dataclass(frozen=True)
class Shift(Augment):
    """Circular shift in time, another one for each sample.

    Args:
        fraction: largest shift as a fraction of the window, in either direction.
    """

    fraction: float = 0.1

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time], shifted."""
        length = x.shape[-1]
        reach = int(self.fraction * length)
        offset = torch.randint(-reach, reach + 1, (len(x), 1, 1), generator=generator)
        position = (torch.arange(length) - offset) % length
        return x.gather(-1, position.expand(x.shape))

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places moved in the same way."""
        return self(places, generator)


@dataclass(frozen=True)
class Missing(Augment):
    """A contiguous part of each window set to zero (removal).

    Args:
        fraction: length of the part as a fraction of the window (levels 1-3 of the literature: 0.15, 0.22, 0.30).
    """

    fraction: float = 0.15

    def __call__(self, x: Tensor, generator: torch.Generator) -> Tensor:
        """Return [B, channels, time] with one gap per sample."""
        length = x.shape[-1]
        gap = int(self.fraction * length)
        start = torch.randint(0, length - gap + 1, (len(x), 1, 1), generator=generator)
        position = torch.arange(length)
        return x.masked_fill((position >= start) & (position < start + gap), 0)

    def follow(self, places: Tensor, generator: torch.Generator) -> Tensor:
        """Return the places as they are: nothing moves."""
        return places


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
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise UserError(
                f"RandomResizedCrop.scale: found {list(self.scale)}, allowed are two rising numbers "
                "above 0 and up to 1"
            )
        if not 0 < self.ratio[0] <= self.ratio[1]:
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
        degrees: largest angle in either direction.
        flip: probability of a horizontal flip.
    """

    degrees: float = 30.0
    flip: float = 0.5

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


@dataclass(frozen=True)
class Mixup(Mix):
    """Each input becomes a weighted mean of itself and another sample of the batch.

    The partners are a random permutation of the batch, the same for all modalities; so is the weight.
    Annotated concepts stay those of the sample itself.

    Args:
        alpha: both parameters of the Beta distribution of the weight; > 0.
        per_sample: draw a weight for each sample instead of one for the batch.

    Shapes:
        Inputs [B, ...] keep their shape; floating-point inputs keep their type, all others become float32
        (rounding a mean would change it).

    Source:
        Zhang et al. 2018, arXiv:1710.09412. Authors' symbols: alpha, lambda = ``share``. As in the authors'
        code, one weight for the batch unless ``per_sample``.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        _check_alpha("Mixup", self.alpha)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch."""
        count = len(batch.labels)
        partners = torch.randperm(count, generator=generator)
        share = _shares(self.alpha, count, self.per_sample, generator)
        inputs = {name: _mean(x, x[partners], share) for name, x in batch.inputs.items()}
        return replace(batch, inputs=inputs, partner=batch.labels[partners], share=share)


@dataclass(frozen=True)
class CutMix(Mix):
    """A box of each input is replaced by the same box of another sample of the batch.

    The box is a rectangle of a picture, an interval of a signal; all modalities of the batch share it, and
    need the same size. ``share`` is the part that is left, counted in pixels after the box was cut off
    at the border. Annotated concepts stay those of the sample itself.

    Args:
        alpha: both parameters of the Beta distribution of the part that is left; > 0.
        per_sample: draw part and box for each sample instead of one for the batch.

    Shapes:
        Inputs [B, channels, ...] keep shape and type.

    Source:
        Yun et al. 2019, arXiv:1905.04899, sec. 3.1. Authors' symbols: lambda = ``share``. Their box on a
        picture has sides sqrt(1 - lambda) of the picture's; on a signal we take an interval of 1 - lambda.
    """

    alpha: float = 1.0
    per_sample: bool = False

    def __post_init__(self) -> None:
        _check_alpha("CutMix", self.alpha)

    def __call__(self, batch: Batch, generator: torch.Generator) -> Batch:
        """Return the mixed batch.

        Raises:
            UserError: the modalities differ in size.
        """
        count = len(batch.labels)
        sizes = {name: tuple(x.shape[2:]) for name, x in batch.inputs.items()}
        first = next(iter(sizes))
        for name, size in sizes.items():
            if size != sizes[first] or not size:
                raise UserError(
                    f"CutMix: found {name!r} of size {list(size)} and {first!r} of {list(sizes[first])}; "
                    "allowed is one size for all modalities of a batch, with at least one axis after "
                    "the channels (Mixup takes any)"
                )
        partners = torch.randperm(count, generator=generator)
        wanted = _shares(self.alpha, count, self.per_sample, generator)
        inside = self._boxes(wanted, sizes[first], generator)
        inputs = {
            name: torch.where(inside[:, None].to(x.device), x[partners], x)
            for name, x in batch.inputs.items()
        }
        share = 1 - inside.flatten(1).float().mean(dim=1)
        return replace(batch, inputs=inputs, partner=batch.labels[partners], share=share)

    def _boxes(self, share: Tensor, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
        """Return True inside the box, [B, ...]."""
        draws = len(share) if self.per_sample else 1
        inside = torch.ones(len(share), *size, dtype=torch.bool)
        for axis, length in enumerate(size):
            side = (length * (1 - share).clamp_min(0) ** (1 / len(size))).long()
            middle = torch.randint(0, length, (draws,), generator=generator).expand(len(share))
            position = torch.arange(length)
            # Both ends are half a side from the middle, and cut off at the border, as in the paper's code.
            within = (position >= (middle - side // 2)[:, None]) & (
                position < (middle + side // 2)[:, None]
            )
            shape = [len(share)] + [1] * len(size)
            shape[1 + axis] = length
            inside &= within.view(shape)
        return inside


def _check_alpha(name: str, alpha: float) -> None:
    if not alpha > 0:
        raise UserError(f"{name}.alpha: found {alpha}, allowed are numbers above 0")


def _shares(alpha: float, count: int, per_sample: bool, generator: torch.Generator) -> Tensor:
    """Return draws from Beta(alpha, alpha), [count] float32; all equal unless ``per_sample``."""
    # torch draws Beta from its global stream only; NumPy's is seeded from ours.
    seed = int(torch.randint(2**62, (), generator=generator))
    drawn = np.random.default_rng(seed).beta(alpha, alpha, count if per_sample else 1)
    return torch.from_numpy(drawn).float().expand(count).clone()


def _mean(own: Tensor, other: Tensor, share: Tensor) -> Tensor:
    kind = own.dtype if own.is_floating_point() else torch.float32
    weight = share.view(-1, *[1] * (own.ndim - 1)).to(own.device, kind)
    return weight * own.to(kind) + (1 - weight) * other.to(kind)


def augmented(batch: Batch, augments: Mapping[str, Augment], generator: torch.Generator) -> Batch:
    """Return the batch with the named modalities changed; annotated places move with the data set's own input.

    Raises:
        UserError: a modality is not in the batch, or it is not known how places move.
    """
    inputs, concepts = dict(batch.inputs), dict(batch.concepts)
    for name, augment in augments.items():
        if name not in inputs:
            raise unknown("augment", "modality", name, inputs)
        before = generator.get_state()
        size = inputs[name].shape[2:]
        inputs[name] = augment(inputs[name], generator)
        if name in _OWN and "spatial" in concepts:
            again = torch.Generator().set_state(before)
            concepts["spatial"] = _moved(concepts["spatial"], size, augment, again)
    return replace(batch, inputs=inputs, concepts=concepts)


def _moved(
    concepts: Tensor, size: Sequence[int], augment: Augment, generator: torch.Generator
) -> Tensor:
    """Return annotations of places, [B, *places, M], after a change of inputs of this size.

    A place of the changed input has the annotation of the place that its centre shows; NaN where it shows none.
    """
    count, space = len(concepts), concepts.shape[1:-1]
    numbers = torch.arange(1, math.prod(space) + 1).view(1, 1, *space)
    for axis, (wanted, have) in enumerate(zip(size, space, strict=True), start=2):
        cell = (torch.arange(wanted) + 0.5) * have / wanted
        numbers = numbers.index_select(axis, cell.long())
    moved = augment.follow(numbers.expand(count, 1, *size), generator).squeeze(1)
    for axis, have in enumerate(space, start=1):
        centre = (torch.arange(have) + 0.5) * moved.shape[axis] / have
        moved = moved.index_select(axis, centre.long())
    rows = torch.nn.functional.pad(concepts.flatten(1, -2), (0, 0, 1, 0), value=math.nan)
    index = moved.reshape(count, -1, 1).expand(-1, -1, concepts.shape[-1])
    return rows.gather(1, index).view(concepts.shape)
