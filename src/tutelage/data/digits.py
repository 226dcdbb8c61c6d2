"""Handwritten digits of 8x8 pixels that come with scikit-learn: is the number even or odd?"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from tutelage.data.dataset import COLOURS, DataSet
from tutelage.data.hierarchy import grouped
from tutelage.data.loader import Loader, one_of
from tutelage.data.store import Progress
from tutelage.errors import UserError

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
PARITY = {"even": DIGITS[::2], "odd": DIGITS[1::2]}
_SIDE = 8
_CITATION = (
    "Alpaydin, Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository; "
    "its test part, as scikit-learn ships it"
)


@dataclass(frozen=True)
class Digits(Loader):
    """Handwritten digits: 1,797 images of 13 people, 8x8 grey levels, nothing to fetch.

    Who wrote a digit is not told, so a split by people is not possible.

    Args:
        labels: ``parity`` for even and odd: the ten digits are then the annotated concepts of each image;
            ``digits`` for the ten.
        size: height and width in pixels, a multiple of 8: each pixel is repeated.

    Raises:
        UserError: another size, or other labels.
    """

    name: ClassVar[str] = "digits"

    labels: Literal["parity", "digits"] = "parity"
    size: int = 8

    def __post_init__(self) -> None:
        one_of(self, "labels", self.labels, ("parity", "digits"))
        if self.size < _SIDE or self.size % _SIDE:
            raise UserError(f"Digits.size: found {self.size}, allowed are multiples of {_SIDE}")

    def _load(self, cache: Path, progress: Progress) -> DataSet:
        from sklearn.datasets import load_digits

        images, digits = load_digits(return_X_y=True)
        grey = np.round(images.reshape(-1, 1, _SIDE, _SIDE) * (255 / 16)).astype(np.uint8)
        times = self.size // _SIDE
        grey = grey.repeat(times, axis=2).repeat(times, axis=3).repeat(3, axis=1)
        labels = digits.astype(np.int64)
        task: dict[str, Any] = {"labels": labels, "class_names": DIGITS}
        if self.labels == "parity":
            task = grouped(labels, DIGITS, PARITY)
        return DataSet(
            name=self.name if self.labels == "digits" else f"{self.name}-{self.labels}",
            modality="image",
            inputs=grey,
            subjects=None,
            channel_names=COLOURS,
            source=_CITATION,
            **task,
        )
