"""Lengths of time as people write them: ``2.56 s``, ``20 ms``, ``50 %`` of a window, or samples."""

import re

from tutelage.errors import UserError, quoted

_FORM = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(s|ms|min|%|samples?|)")
_SECONDS = {"s": 1.0, "ms": 1e-3, "min": 60.0}


def seconds(length: int | str, rate: float, place: str, window: float | None = None) -> float:
    """Return a length in seconds.

    Args:
        length: a number of samples, or a text such as ``2.56 s``, ``20 ms``, ``64 samples``, ``50 %``.
        rate: samples per second (Hz).
        place: which argument it is, for the sentence.
        window: what a percentage is of, in seconds; None: percentages are refused.

    Raises:
        UserError: it is no such length.
    """
    number, unit = _parts(length, place, window is not None)
    if unit == "%":
        assert window is not None
        return number / 100 * window
    return number * _SECONDS[unit] if unit in _SECONDS else number / rate


def samples(length: int | str, rate: float, place: str, window: int | None = None) -> int:
    """Return a length in samples, rounded to a whole one.

    Args:
        length: as in :func:`seconds`.
        rate: samples per second (Hz).
        place: which argument it is, for the sentence.
        window: what a percentage is of, in samples.

    Raises:
        UserError: it is no such length, or shorter than one sample.

    Examples:
        >>> samples("2.56 s", 50.0, "window"), samples("50 %", 50.0, "hop", 128)
        (128, 64)
    """
    whole = None if window is None else window / rate
    found = round(seconds(length, rate, place, whole) * rate)
    if found < 1:
        raise UserError(f"{place}: found {length}, which at {rate:g} Hz is less than one sample")
    return found


def check(length: int | str, place: str, percent: bool = False) -> None:
    """Refuse what is no length, before a rate is known.

    Raises:
        UserError: the sentence names the argument.
    """
    _parts(length, place, percent)


def _parts(length: int | str, place: str, percent: bool) -> tuple[float, str]:
    match = _FORM.fullmatch(str(length).strip())
    forms = "128, '2.56 s', '20 ms'" + (" or '50 %' of the window" if percent else "")
    if match is None or (match[2] == "%" and not percent):
        raise UserError(f"{place}: found {quoted(length)}, allowed are lengths such as {forms}")
    return float(match[1]), match[2]
