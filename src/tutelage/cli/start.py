"""Commands to begin with: recipes that come with the package, a new study, what this machine has."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["doctor", "new", "recipes"]


def recipes(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]...", help="hapt/kd, or a folder: hapt")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder to copy them to; without it they are listed.")
    ] = None,
) -> None:
    """List the recipes that come with Tutelage, or copy some: tutelage recipes hapt/kd --to ."""
    from tutelage.errors import unknown
    from tutelage.recipe.shipped import copied, shipped

    if to is not None:
        for path in [path for name in names or [""] for path in copied(name, to)]:
            typer.echo(path)
        return
    known = shipped()
    for name in names or []:
        if not any(f"{one.name}/".startswith(f"{name.strip('/')}/") for one in known):
            raise unknown("recipes", "recipe", name, [one.name for one in known])
    wanted = [n.strip("/") for n in names or []]
    for one in known:
        if not wanted or any(f"{one.name}/".startswith(f"{name}/") for name in wanted):
            typer.echo(f"{one.name:<30}  {one.title}")


def new(
    name: Annotated[str, typer.Argument(help="Of the folder that is made.")],
    source: Annotated[
        Path | None, typer.Option("--from", help="Folder of recordings: CSV, Parquet, Arrow.")
    ] = None,
) -> None:
    """Write a commented recipe and a study for the data at hand: tutelage new --from recordings my-study."""
    from tutelage.study.start import guess, write_start

    recipe, study = write_start(name, None if source is None else guess(source), Path())
    typer.echo(f"{recipe}\n{study}\n\nread the lines with 'confirm' in {recipe}, then:")
    typer.echo(f"  tutelage data {recipe} --page data.html")
    typer.echo(f"  tutelage check {recipe}")
    typer.echo(f"  tutelage run {recipe}")
    typer.echo(f"  tutelage study plan {study}")


def doctor() -> None:
    """Show versions, cores, memory, what the processor and the GPU can, and which extras are missing."""
    from tutelage.cli.machine import findings

    for name, found in findings():
        typer.echo(f"{name:<16}{found}")
