"""One test window as the networks see it, kept beside the runs so that the report needs no data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.runs import arrays
from tutelage.runs.schema import UnreadableError

_WORDS = ("channel_names", "class_name", "subject", "rate", "channel")
_NEEDED = ("signal", "births", "deaths", *_WORDS)
IMAGE = "image-"
"""How the array of a modality's image is named."""


@dataclass(frozen=True)
class ExampleWindow:
    """``example.npz``: one window as signal, persistence diagram and images.

    Args:
        signal: [C, L], in the unit the network sees.
        rate: samples per second, Hz; 0 where it is unknown.
        channel_names: C names.
        class_name: its true class.
        subject: who wore the device; empty where the data do not say.
        images: modality -> image, [C, H, W]; any number of modalities.
        diagram: births and deaths of ``channel``, [N] each, or None.
        channel: which channel the diagram belongs to and which channel of the images is shown.
        split: where the window comes from.
    """

    signal: NDArray[np.floating]
    rate: float
    channel_names: tuple[str, ...]
    class_name: str
    subject: str
    images: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    diagram: tuple[NDArray[np.floating], NDArray[np.floating]] | None = None
    channel: int = 0
    split: str = "test"

    def save(self, path: Path) -> None:
        """Write it."""
        births, deaths = self.diagram or (np.empty(0), np.empty(0))
        own = {
            "signal": self.signal, "births": births, "deaths": deaths, "channel": self.channel,
            "rate": self.rate, "channel_names": np.array(self.channel_names, dtype=np.str_),
            "class_name": self.class_name, "subject": self.subject,
        }  # fmt: skip
        arrays.save(path, own | {f"{IMAGE}{name}": image for name, image in self.images.items()})

    @classmethod
    def read(cls, path: Path) -> "ExampleWindow":
        """Read it; nothing is unpickled.

        Raises:
            UnreadableError: the file is damaged, an array is missing or has another shape.
        """
        stored = arrays.load(path, "an example window", *_NEEDED)
        signal, births, deaths = (
            arrays.column(stored, name, np.number, path) for name in ("signal", "births", "deaths")
        )
        words = {name: stored[name] for name in _WORDS}
        names = tuple(str(name) for name in words["channel_names"].ravel().tolist())
        try:
            return cls(
                signal=signal,
                rate=float(words["rate"]),
                channel_names=names or tuple(f"channel {i + 1}" for i in range(len(signal))),
                class_name=str(words["class_name"]),
                subject=str(words["subject"]),
                images={name.removeprefix(IMAGE): arrays.column(stored, name, np.number, path)
                        for name in stored if name.startswith(IMAGE)},
                diagram=(births.ravel(), deaths.ravel()),
                channel=int(words["channel"]),
            )  # fmt: skip
        except (OverflowError, TypeError, ValueError) as error:
            raise UnreadableError(f"{path}: not an example window ({error})") from None

    def __post_init__(self) -> None:
        if self.signal.ndim != 2 or len(self.channel_names) != len(self.signal):
            raise ValueError(
                f"ExampleWindow: signal is {self.signal.shape} with {len(self.channel_names)} "
                "channel names; expected [C, L] and C names"
            )
        if not 0 <= self.channel < len(self.signal):
            raise ValueError(f"ExampleWindow: channel {self.channel} of {len(self.signal)}")
        for name, image in self.images.items():
            if image.ndim != 3 or not len(image):
                raise ValueError(f"ExampleWindow: image {name!r} is {image.shape}, not [C, H, W]")
