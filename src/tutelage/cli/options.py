"""Options and arguments that several commands share, each with its sentence of help."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["DataHome", "Device", "Devices", "Jobs", "Name", "Overrides", "Runs", "Trust", "Verbose"]

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY.PATH=VALUE]...", help="Changes to the file: seed=3 train.epochs=5"
    ),
]
Runs = Annotated[Path, typer.Option("--runs", help="Folder of experiments.")]
DataHome = Annotated[
    Path | None, typer.Option("--data", envvar="TUTELAGE_DATA", help="Folder of data sets.")
]
Device = Annotated[str, typer.Option(help="cpu, cuda or auto.")]
Devices = Annotated[
    int, typer.Option(min=1, help="Processes of one training, each with its part of a batch.")
]
Jobs = Annotated[int, typer.Option(min=0, help="Runs side by side; 0: one per core, on a GPU one.")]
Name = Annotated[str | None, typer.Option(help="Name of the folder, below --runs.")]
Trust = Annotated[
    bool,
    typer.Option(
        "--trust",
        help="Runs given by path (run:) may name classes of other packages, which are imported.",
    ),
]
Verbose = Annotated[
    bool,
    typer.Option(
        "--verbose", "-v", help="Also a line of each epoch, and of each run that is there."
    ),
]
