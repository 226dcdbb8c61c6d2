"""What is written behind options of the commands of a study, read."""

from pathlib import Path

__all__ = ["against_of", "meanings_of", "tables_folder"]


def meanings_of(pairs: list[str] | None) -> dict[str, str]:
    """Read NAME=MEANING pairs."""
    from tutelage.errors import UserError

    found = {}
    for pair in pairs or []:
        name, sign, meaning = pair.partition("=")
        if not sign or not name or not meaning:
            raise UserError(f"--means {pair!r}: allowed: NAME=MEANING, such as alpha=weight.sig")
        found[name] = meaning
    return found


def against_of(text: str | None) -> str | dict[str, str] | None:
    """Read a stage, or an axis and its value."""
    axis, sign, value = (text or "").partition("=")
    return {axis: value} if sign else text


def tables_folder(folder: str, out: Path | None) -> Path:
    """Return where tables go; what is read from a URL is written here."""
    if out is not None:
        return out
    return Path("tables") if "://" in folder else Path(folder) / "tables"
