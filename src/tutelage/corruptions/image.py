"""The common corruptions of images that need no files of others, on [N, 3, height, width] uint8.

Source of all amounts: Hendrycks & Dietterich 2019, arXiv:1903.12261, and their code, hendrycks/robustness@8190fe3:
images of up to 48 pixels have those of CIFAR-10-C, of up to 96 those of Tiny-ImageNet-C, larger ones those of
ImageNet-C. As there, results are cut off, not rounded, to whole numbers.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from tutelage.corruptions.base import Corruption, InputFacts, Inputs

__all__ = [
    "Brightness",
    "DefocusBlur",
    "Fog",
    "GaussianBlur",
    "GaussianNoise",
    "ImpulseNoise",
    "JpegCompression",
    "LowContrast",
    "Pixelation",
    "Saturation",
    "ShotNoise",
    "SpeckleNoise",
]

Amounts = Sequence[Any]
_SMALL, _MIDDLE = 48, 96  # pixels; between the sizes of the published sets


class ImageCorruption(Corruption):
    """Damage to images, with the published amounts for their size."""

    modality: ClassVar[str] = "image"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]]

    def amounts(self, facts: InputFacts) -> Amounts:
        """Return the published amounts for images of this size."""
        pixels = max(facts.shape[1:])
        return self.published[(pixels > _SMALL) + (pixels > _MIDDLE)]

    def damage(self, inputs: Inputs, amount: Any, rng: Generator, facts: InputFacts) -> Inputs:
        """Return damaged images."""
        shown: NDArray[np.float32] = np.divide(inputs, 255, dtype=np.float32)
        changed = self.change(shown, amount, rng)
        # A little more, so that a value that is whole but for rounding is not cut off.
        whole: Inputs = (np.clip(changed, 0, 1) * 255 + 1e-3).astype(np.uint8)
        return whole

    @abstractmethod
    def change(self, images: NDArray[np.float32], amount: Any, rng: Generator) -> NDArray[Any]:
        """Return changed images, [N, 3, height, width] in [0, 1]; what leaves that range is cut off."""


@dataclass(frozen=True)
class GaussianNoise(ImageCorruption):
    """Gaussian noise on every value."""

    meaning: ClassVar[str] = "standard deviation of the noise, in full scales"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.04, 0.06, 0.08, 0.09, 0.10), (0.04, 0.08, 0.12, 0.15, 0.18), (0.08, 0.12, 0.18, 0.26, 0.38),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Add noise."""
        return images + amount * rng.standard_normal(images.shape, np.float32)


@dataclass(frozen=True)
class ShotNoise(ImageCorruption):
    """Poisson noise of so many photons at full brightness."""

    meaning: ClassVar[str] = "photons at full brightness"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (500, 250, 100, 75, 50), (250, 100, 50, 30, 15), (60, 25, 12, 5, 3),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Count photons."""
        return rng.poisson(images * amount) / amount


@dataclass(frozen=True)
class ImpulseNoise(ImageCorruption):
    """Salt and pepper: values that are 0 or full scale, each half of the time."""

    meaning: ClassVar[str] = "share of the values that are replaced"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.01, 0.02, 0.03, 0.05, 0.07), (0.01, 0.02, 0.05, 0.08, 0.14), (0.03, 0.06, 0.09, 0.17, 0.27),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Replace values."""
        gone = rng.random(images.shape, np.float32) < amount
        return np.where(gone, rng.integers(0, 2, images.shape), images)


@dataclass(frozen=True)
class SpeckleNoise(ImageCorruption):
    """Gaussian noise in proportion to every value."""

    meaning: ClassVar[str] = "standard deviation of the noise, in units of the value"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.06, 0.1, 0.12, 0.16, 0.2), (0.15, 0.2, 0.25, 0.3, 0.35), (0.15, 0.2, 0.35, 0.45, 0.6),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Multiply by noise."""
        return images + images * (amount * rng.standard_normal(images.shape, np.float32))


@dataclass(frozen=True)
class GaussianBlur(ImageCorruption):
    """A Gaussian blur."""

    meaning: ClassVar[str] = "standard deviation of the blur, in pixels"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.4, 0.6, 0.7, 0.8, 1), (0.5, 0.75, 1, 1.25, 1.5), (1, 2, 3, 4, 6),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Blur."""
        from scipy.ndimage import gaussian_filter

        blurred: NDArray[Any] = gaussian_filter(images, (0, 0, amount, amount), mode="nearest")
        return blurred


@dataclass(frozen=True)
class DefocusBlur(ImageCorruption):
    """A lens out of focus: every point becomes a disc with a softened edge."""

    meaning: ClassVar[str] = "radius of the disc in pixels, softness of its edge"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
        ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
        ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    )

    def change(
        self, images: NDArray[np.float32], amount: tuple[float, float], rng: Generator
    ) -> NDArray[Any]:
        """Blur."""
        from scipy.ndimage import correlate

        blurred: NDArray[Any] = correlate(images, _disc(*amount)[None, None], mode="mirror")
        return blurred


def _disc(radius: float, softness: float) -> NDArray[np.float32]:
    """Return a disc that sums to one, its edge softened; without the zeros around it."""
    from scipy.ndimage import correlate1d

    reach, half = (8, 1) if radius <= 8 else (int(radius), 2)
    at = np.arange(-reach, reach + 1)
    disc = (at[:, None] ** 2 + at**2 <= radius**2).astype(np.float64)
    edge = np.exp(-(np.arange(-half, half + 1) ** 2) / (2 * softness**2))
    disc, edge = disc / disc.sum(), edge / edge.sum()
    for axis in (0, 1):
        disc = correlate1d(disc, edge, axis=axis, mode="mirror")
    kept = np.flatnonzero((disc > 1e-9).any(axis=0))
    kernel: NDArray[np.float32] = disc[np.ix_(kept, kept)].astype(np.float32)
    return kernel


@dataclass(frozen=True)
class Fog(ImageCorruption):
    """Fog: a cloud of the diamond-square algorithm in front of the picture."""

    meaning: ClassVar[str] = "thickness of the fog, how fast its detail fades"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        ((0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
        ((0.4, 3), (0.7, 3), (1, 2.5), (1.5, 2), (2, 1.75)),
        ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),
    )

    def change(
        self, images: NDArray[np.float32], amount: tuple[float, float], rng: Generator
    ) -> NDArray[Any]:
        """Lay fog over."""
        thickness, fading = amount
        count, _, height, width = images.shape
        brightest = images.max(axis=(1, 2, 3), keepdims=True)
        size = 1 << (max(height, width) - 1).bit_length()
        cloud = _clouds(count, size, fading, rng)[:, None, :height, :width]
        veiled: NDArray[Any] = (images + thickness * cloud) * brightest / (brightest + thickness)
        return veiled


def _clouds(count: int, size: int, fading: float, rng: Generator) -> NDArray[np.float64]:
    """Return height maps in [0, 1] that go on at their borders, [count, size, size]; size is a power of two."""
    heights = np.zeros((count, size, size))
    step, swing = size, 100.0

    def between(total: NDArray[np.float64]) -> NDArray[np.float64]:
        return total / 4 + swing * rng.uniform(-swing, swing, total.shape)

    while step >= 2:
        half = step // 2
        corners = heights[:, ::step, ::step]
        total = corners + np.roll(corners, -1, axis=1)
        heights[:, half::step, half::step] = between(total + np.roll(total, -1, axis=2))
        middles, corners = heights[:, half::step, half::step], heights[:, ::step, ::step]
        up_down = middles + np.roll(middles, 1, axis=1)
        left_right = corners + np.roll(corners, -1, axis=2)
        heights[:, ::step, half::step] = between(up_down + left_right)
        up_down = corners + np.roll(corners, -1, axis=1)
        left_right = middles + np.roll(middles, 1, axis=2)
        heights[:, half::step, ::step] = between(up_down + left_right)
        step, swing = half, swing / fading
    heights -= heights.min(axis=(1, 2), keepdims=True)
    maps: NDArray[np.float64] = heights / heights.max(axis=(1, 2), keepdims=True)
    return maps


@dataclass(frozen=True)
class Brightness(ImageCorruption):
    """More light: the value of every pixel in hue, saturation and value is raised."""

    meaning: ClassVar[str] = "what is added to the value (HSV)"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.05, 0.1, 0.15, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5), (0.1, 0.2, 0.3, 0.4, 0.5),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Brighten."""
        value = images.max(axis=1, keepdims=True)
        more = np.minimum(value + amount, 1)
        brighter: NDArray[Any] = np.where(
            value > 0, images * (more / np.where(value > 0, value, 1)), more
        )
        return brighter


@dataclass(frozen=True)
class LowContrast(ImageCorruption):
    """Less contrast: every channel is drawn to its mean over the picture."""

    meaning: ClassVar[str] = "share of the contrast that is left"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.75, 0.5, 0.4, 0.3, 0.15), (0.4, 0.3, 0.2, 0.1, 0.05), (0.4, 0.3, 0.2, 0.1, 0.05),
    )  # fmt: skip

    def change(self, images: NDArray[np.float32], amount: float, rng: Generator) -> NDArray[Any]:
        """Take contrast away."""
        mean = images.mean(axis=(2, 3), keepdims=True)
        flat: NDArray[Any] = (images - mean) * amount + mean
        return flat


@dataclass(frozen=True)
class Saturation(ImageCorruption):
    """Paler colours at severity 1 and 2, richer ones from 3 on; grey turns reddish at 4 and 5, as published."""

    meaning: ClassVar[str] = "factor of the saturation (HSV), what is added to it"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
        ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
    )

    def change(
        self, images: NDArray[np.float32], amount: tuple[float, float], rng: Generator
    ) -> NDArray[Any]:
        """Change the saturation and leave hue and value."""
        value = images.max(axis=1, keepdims=True)
        span = value - images.min(axis=1, keepdims=True)
        red = np.array([0, 1, 1], np.float32)[:, None, None]
        away = np.where(span > 0, (value - images) / np.where(span > 0, span, 1), red)
        saturation = span / np.where(value > 0, value, 1)
        changed: NDArray[Any] = value * (
            1 - np.clip(saturation * amount[0] + amount[1], 0, 1) * away
        )
        return changed


class _Recoded(ImageCorruption):
    """Damage by Pillow, picture by picture."""

    def damage(self, inputs: Inputs, amount: Any, rng: Generator, facts: InputFacts) -> Inputs:
        """Return damaged images."""
        from PIL import Image

        pictures = [
            np.asarray(self.recoded(Image.fromarray(np.ascontiguousarray(one)), amount))
            for one in inputs.transpose(0, 2, 3, 1)
        ]
        return np.stack(pictures).transpose(0, 3, 1, 2) if pictures else inputs

    def change(self, images: NDArray[np.float32], amount: Any, rng: Generator) -> NDArray[Any]:
        """Change nothing: pictures are recoded as whole numbers."""
        return images

    @abstractmethod
    def recoded(self, picture: Any, amount: Any) -> Any:
        """Return a damaged picture of Pillow."""


@dataclass(frozen=True)
class JpegCompression(_Recoded):
    """JPEG at low quality."""

    meaning: ClassVar[str] = "quality of the JPEG file"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (80, 65, 58, 50, 40), (65, 58, 50, 40, 25), (25, 18, 15, 10, 7),
    )  # fmt: skip

    def recoded(self, picture: Any, amount: int) -> Any:
        """Write and read a JPEG file in memory."""
        from PIL import Image

        file = BytesIO()
        picture.save(file, "JPEG", quality=amount)
        return Image.open(file)


@dataclass(frozen=True)
class Pixelation(_Recoded):
    """Fewer pixels, and back to the old size."""

    meaning: ClassVar[str] = "share of the pixels along each side"
    published: ClassVar[tuple[Amounts, Amounts, Amounts]] = (
        (0.95, 0.9, 0.85, 0.75, 0.65), (0.9, 0.8, 0.7, 0.6, 0.5), (0.6, 0.5, 0.4, 0.3, 0.25),
    )  # fmt: skip

    def recoded(self, picture: Any, amount: float) -> Any:
        """Shrink and enlarge by boxes."""
        from PIL import Image

        width, height = picture.size
        small = max(1, int(width * amount)), max(1, int(height * amount))
        box = Image.Resampling.BOX
        return picture.resize(small, box).resize((width, height), box)
