"""``tutelage cache``: what was kept to save time, and how much room it takes."""

import time
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.options import Runs

__all__ = ["cache"]

_SHOWN = 20
_DAY = 86400.0


def cache(
    runs: Runs = Path("runs"),
    *,
    older_than: Annotated[
        float | None, typer.Option(min=0, help="Remove what was not used for so many days.")
    ] = None,
    to: Annotated[
        str | None,
        typer.Option(help="Remove what was used longest ago until so much is left: 2GB."),
    ] = None,
) -> None:
    """Show or prune what runs keep to save time; what is removed is made again when it is needed."""
    from tutelage.execution.cache import BOUND, entries, prune, size_of
    from tutelage.files import bytes_in_words

    folder = runs / ".cache"
    if older_than is not None or to is not None:
        removed = prune(
            folder,
            older_than=None if older_than is None else older_than * _DAY,
            to=None if to is None else size_of(to, "--to"),
        )
        room = bytes_in_words(sum(entry.bytes for entry in removed))
        typer.echo(f"removed {len(removed)} entries, {room}")
    found = entries(folder)
    for entry in sorted(found, key=lambda one: -one.bytes)[:_SHOWN]:
        days = (time.time() - entry.used) / _DAY
        typer.echo(
            f"{bytes_in_words(entry.bytes):>9}  used {days:5.1f} days ago  {entry.kind}: {entry.what}"
        )
    if len(found) > _SHOWN:
        typer.echo(f"and {len(found) - _SHOWN} smaller ones")
    total = bytes_in_words(sum(entry.bytes for entry in found))
    typer.echo(f"{folder}: {total} in {len(found)} entries (bound it for every run: {BOUND}=20GB)")
