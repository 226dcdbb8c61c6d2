"""Signals brought to what an encoder was trained on: channels, units, rate, length, standardisation."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import torch
from scipy.signal import resample_poly
from torch import Tensor

from tutelage.errors import UserError, unknown, within
from tutelage.units import factor, standard

__all__ = ["Door", "Reads", "resampled"]

_FINEST = 1000  # largest factor by which a signal is sampled up or down
_EXACT = 1e-4  # how far, relatively, a rate may be from the wanted one

Units = str | list[str]


@dataclass(frozen=True)
class Reads:
    """What an encoder was trained on.

    Args:
        rate: samples per second (Hz).
        channels: names of the data's channels, in the order that the encoder reads them.
        units: of each channel, or one for all, of :data:`tutelage.units.UNITS`; 1 is no unit.
        mean: of each channel, in ``units``; 0 unless given.
        std: of each channel, in ``units``, > 0; 1 unless given.
        length: samples at ``rate``; None: any.
        shorter: a window that is shorter than ``length``: refused; repeated; or with zeros (after standardisation)
            at both ends. A longer one is cut to its centre.

    Raises:
        UserError: counts differ, a unit is unknown, or a number is out of range.
    """

    rate: float
    channels: list[str]
    units: Units
    mean: list[float] | None = None
    std: list[float] | None = None
    length: int | None = None
    shorter: Literal["refuse", "repeat", "zeros"] = "refuse"

    def __post_init__(self) -> None:
        within("(0, inf)", rate=self.rate)
        within("[1, inf)", length=self.length)
        if not self.channels or len(set(self.channels)) != len(self.channels):
            raise UserError(
                f"channels: found {self.channels}; allowed: different names, at least one"
            )
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and len(values) != len(self.channels):
                raise UserError(
                    f"{name}: found {len(values)} numbers; allowed: {len(self.channels)}, one a channel"
                )
        if self.std is not None and not min(self.std) > 0:
            raise UserError(f"std: found {self.std}; allowed: above 0")
        for unit in each(self.units, len(self.channels), "units"):
            standard(unit)


def each(units: Units, count: int, place: str) -> list[str]:
    """Return one unit a channel.

    Raises:
        UserError: there are more, or fewer.
    """
    found = [units] * count if isinstance(units, str) else units
    if len(found) != count:
        raise UserError(f"{place}: found {len(found)} units; allowed: one for all, or {count}")
    return found


def resampled(x: Tensor, rate: float, wanted: float) -> Tensor:
    """Return signals at another rate: up, low-pass filter, down, in one polyphase filter.

    Beyond its ends a signal goes on along the line through its first and last sample, so that gravity in a window
    makes no step there.

    Args:
        x: [B, channels, time].
        rate: of ``x``, Hz.
        wanted: Hz; frequencies above half of it are filtered out.

    Returns:
        [B, channels, ceil(time * wanted / rate)], float32.

    Raises:
        UserError: the rates have no ratio of small numbers.

    Source:
        :func:`scipy.signal.resample_poly` with its filter (Kaiser, beta 5).
    """
    ratio = Fraction(wanted / rate).limit_denominator(_FINEST)
    if not 0 < ratio.numerator <= _FINEST or abs(float(ratio) * rate / wanted - 1) > _EXACT:
        raise UserError(
            f"rate: {rate:g} Hz cannot become {wanted:g} Hz (allowed: a ratio of whole numbers up to {_FINEST})"
        )
    if ratio == 1:
        return x
    values = resample_poly(
        x.double().cpu().numpy(), ratio.numerator, ratio.denominator, axis=2, padtype="line"
    )
    return torch.from_numpy(np.ascontiguousarray(values, np.float32)).to(x.device)


class Door:
    """From the channels, units and rate of a data set to those that an encoder was trained on.

    Args:
        reads: what the encoder was trained on.
        units: of the data's channels that it reads, in the same order, or one for all.
        rate: of the data, Hz.
        channel_names: of the data.

    Raises:
        UserError: a channel is missing, or a unit or rate cannot be converted.
    """

    def __init__(
        self, reads: Reads, units: Units, rate: float | None, channel_names: Sequence[str]
    ) -> None:
        if rate is None:
            raise UserError("rate: the data set does not say how many samples a second has")
        for name in reads.channels:
            if name not in channel_names:
                raise unknown("reads.channels", "channel", name, channel_names)
        count = len(reads.channels)
        pairs = zip(each(units, count, "units"), each(reads.units, count, "units"), strict=True)
        self.reads, self.rate = reads, rate
        self.picked = [list(channel_names).index(name) for name in reads.channels]
        self.factors = torch.tensor([factor(*pair) for pair in pairs])
        resampled(torch.zeros(1, 1, 8), rate, reads.rate)

    def __call__(self, x: Tensor) -> Tensor:
        """Return what the encoder reads of signals in the data's units, [B, channels, time]."""
        x = x[:, self.picked] * self.factors.to(x.device)[:, None]
        x = resampled(x, self.rate, self.reads.rate)
        if self.reads.shorter == "repeat":
            x = self._long(x)
        x = self._standardised(x)
        return self._cut(self._long(x))

    def _standardised(self, x: Tensor) -> Tensor:
        mean = x.new_tensor(self.reads.mean or [0.0] * x.shape[1])[:, None]
        std = x.new_tensor(self.reads.std or [1.0] * x.shape[1])[:, None]
        return (x - mean) / std

    def _long(self, x: Tensor) -> Tensor:
        """Return windows that are long enough."""
        length, found = self.reads.length, x.shape[2]
        if length is None or found >= length:
            return x
        if self.reads.shorter == "refuse":
            raise UserError(
                f"reads.length: {length} samples at {self.reads.rate:g} Hz, but a window has {found} of them "
                "(allowed: longer windows, or shorter: repeat or zeros)"
            )
        if self.reads.shorter == "repeat":
            return x.repeat(1, 1, -(-length // found))[:, :, :length]
        before = (length - found) // 2
        return torch.nn.functional.pad(x, (before, length - found - before))

    def _cut(self, x: Tensor) -> Tensor:
        length = self.reads.length
        return x if length is None else x.narrow(2, (x.shape[2] - length) // 2, length)
