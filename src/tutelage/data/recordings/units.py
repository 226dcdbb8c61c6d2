"""Units of channels: what is declared is brought to one unit for each quantity."""

from collections.abc import Mapping

from tutelage.errors import unknown

STANDARD_GRAVITY = 9.80665  # m/s2

# unit -> (unit that is kept, factor)
_UNITS = {
    "g": ("g", 1.0),
    "mg": ("g", 1e-3),
    "m/s2": ("g", 1 / STANDARD_GRAVITY),
    "rad/s": ("rad/s", 1.0),
    "deg/s": ("rad/s", 0.017453292519943295),
    "uT": ("uT", 1.0),
    "mT": ("uT", 1e3),
    "gauss": ("uT", 100.0),
    "V": ("V", 1.0),
    "mV": ("V", 1e-3),
    "uV": ("V", 1e-6),
    "bpm": ("bpm", 1.0),
    "C": ("C", 1.0),
    "hPa": ("hPa", 1.0),
    "Pa": ("hPa", 1e-2),
    "1": ("1", 1.0),
}


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
    for name, unit in by_name.items():
        if name not in channels:
            raise unknown(place, "channel", name, channels)
        if unit not in _UNITS:
            raise unknown(f"{place}.{name}", "unit", unit, _UNITS)
    kept = [_UNITS[by_name[name]] if name in by_name else ("", 1.0) for name in channels]
    return tuple(unit for unit, _ in kept), [factor for _, factor in kept]
