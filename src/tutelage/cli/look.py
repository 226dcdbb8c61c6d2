"""``tutelage look``: figures that answer why, computed after training from the networks and the cached data."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.options import DataHome, Device

__all__ = ["look"]


def look(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Of an experiment: runs/<name>.")
    ],
    feature: Annotated[
        str,
        typer.Argument(help="What to look at: attention, embedding, interpolation or similarity."),
    ],
    stages: Annotated[str, typer.Option(help="Whose networks, with commas; all.")] = "",
    fold: Annotated[int | None, typer.Option(help="Only this one, by its number.")] = None,
    seed: Annotated[int | None, typer.Option(help="Only this one.")] = None,
    data: DataHome = None,
    device: Device = "auto",
) -> None:
    """Look at trained networks once more, keep what is found beside their runs, and write the report anew."""
    from tutelage.cli.progress import Screen
    from tutelage.execution.look import open_look
    from tutelage.report import write_report

    names = [name.strip() for name in stages.split(",") if name.strip()]
    found = open_look(folder, feature, names, fold, seed, data, device)
    typer.echo(found.cost())
    with Screen() as screen:
        found.carry_out(screen.progress)
        typer.echo(write_report(folder))
