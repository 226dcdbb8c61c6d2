"""Units of channels: what is declared is brought to one unit for each quantity."""

from collections.abc import Mapping

from tutelage.errors import unknown
from tutelage.units import standard


def declared(
    units: Mapping[str, str] | str | None, channels: tuple[str, ...], place: str
) -> tuple[tuple[str, ...], list[float]]:
    """Return the unit that is kept of each channel, and what its values are multiplied with.

    Args:
        units: of each channel, or one for all; None: none is known, and values stay as they are.
        channels: names.
        place: which argument, for the sentence.

    Returns:
        Units ("" where none is known), no units at all if none is declared; and C factors.

    Raises:
        UserError: an unknown unit or channel.
    """
    if units is None:
        return (), [1.0] * len(channels)
    by_name = dict.fromkeys(channels, units) if isinstance(units, str) else dict(units)
    for name in by_name:
        if name not in channels:
            raise unknown(place, "channel", name, channels)
    kept = [
        standard(by_name[name], f"{place}.{name}") if name in by_name else ("", 1.0)
        for name in channels
    ]
    return tuple(unit for unit, _ in kept), [factor for _, factor in kept]
