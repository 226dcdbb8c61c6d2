"""One window to look at, handed to the report by whoever has the data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError


@dataclass(frozen=True)
class ExampleWindow:
    """One window as signal, persistence diagram and images.

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

    @classmethod
    def read(cls, path: Path) -> "ExampleWindow":
        """Read ``example.npz`` as an experiment writes it; nothing is unpickled.

        Args:
            path: holds ``signal``, ``rate``, ``channel_names``, ``class_name``, ``subject``,
                ``channel``, ``births``, ``deaths`` and one ``image-<modality>`` for each modality.

        Raises:
            UserError: an array is missing or holds objects.
        """
        try:
            with np.load(path, allow_pickle=False) as stored:
                signal = stored["signal"]
                names = tuple(str(name) for name in stored["channel_names"].tolist())
                return cls(
                    signal=signal,
                    rate=float(stored["rate"]),
                    channel_names=names or tuple(f"channel {i + 1}" for i in range(len(signal))),
                    class_name=str(stored["class_name"]),
                    subject=str(stored["subject"]),
                    images={name.removeprefix("image-"): stored[name] for name in stored.files
                            if name.startswith("image-")},
                    diagram=(stored["births"].ravel(), stored["deaths"].ravel()),
                    channel=int(stored["channel"]),
                )  # fmt: skip
        except (KeyError, ValueError, OSError) as error:
            raise UserError(f"{path}: not an example window ({error})") from None

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
