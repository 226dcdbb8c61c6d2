"""Numbers and names as people read them."""

import math

MODALITIES = {
    "signal": "signal",
    "pi": "persistence image",
    "gaf": "Gramian angular field",
    "mtf": "Markov transition field",
    "persistence_image": "persistence image",
    "gramian_field": "Gramian angular field",
    "transition_field": "Markov transition field",
}


def minus(value: float, digits: int = 1) -> str:
    """Format a number with a true minus sign and without a negative zero."""
    text = f"{value:.{digits}f}"
    return text.replace("-", "−") if float(text) else text.lstrip("-")


def percent(fraction: float, digits: int = 1) -> str:
    """Format a fraction as a percentage without the sign."""
    return minus(100 * fraction, digits)


def significant(value: float, digits: int = 2) -> str:
    """Format a number with so many significant digits, never as a power of ten.

    Examples:
        >>> significant(0.0000791), significant(0.0285), significant(12.3), significant(0.0)
        ('0.000079', '0.029', '12', '0.0')
    """
    decimals = digits - 1 - math.floor(math.log10(abs(value))) if value else digits - 1
    return minus(value, max(decimals, 0))


def tiny(error: float) -> str:
    """Format an error that should be rounding alone.

    Examples:
        >>> tiny(0.00000095), tiny(0.0021), tiny(0.0)
        ('below 0.000001', '0.0021', '0.0')
    """
    return "below 0.000001" if 0 < error < 1e-6 else significant(error)


def signed(value: float, digits: int = 1) -> str:
    """Format a difference with its sign."""
    text = minus(value, digits)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def human(count: int | None) -> str:
    """Format a count in thousands, millions or milliards with three digits.

    Examples:
        >>> human(62_118), human(1_553_190), human(None)
        ('62.1 k', '1.55 M', '–')
    """
    if count is None:
        return "–"
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return str(count)


def short(name: str, longest: int = 18) -> str:
    """Cut a name to fit beside a figure."""
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def modality(name: str) -> str:
    """Say the modality in words."""
    return MODALITIES.get(name, name.replace("_", " "))


def listed(names: list[str]) -> str:
    """Join names as a sentence does.

    Examples:
        >>> listed(["a", "b", "c"])
        'a, b and c'
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def plural(count: int, noun: str) -> str:
    """Count a noun.

    Examples:
        >>> plural(1, "run"), plural(2, "class")
        ('1 run', '2 classes')
    """
    ending = "es" if noun.endswith("s") else "s"
    return f"{count} {noun}{'' if count == 1 else ending}"
