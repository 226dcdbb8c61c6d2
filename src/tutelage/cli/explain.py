"""``tutelage explain``: why a network says what it says of one sample."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.options import DataHome, Device

__all__ = ["explain"]


def explain(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Of an experiment: runs/<name>.")
    ],
    sample: Annotated[
        str, typer.Argument(help="Number of a sample of its data, or a file: one input as .npy.")
    ],
    stage: Annotated[
        str | None, typer.Option(help="Whose network; the student that is best on validation.")
    ] = None,
    *,
    fold: Annotated[
        int | None, typer.Option(help="Of the run; that in which the sample was a test sample.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of the run; the first.")] = None,
    to: Annotated[Path | None, typer.Option(help="HTML page to write as well.")] = None,
    data: DataHome = None,
    device: Device = "cpu",
) -> None:
    """Say what a trained network makes of one sample, and why; and what its teachers would have said."""
    from tutelage.report.sample import explain_sample, sample_text, write_sample_page

    asked = int(sample) if sample.lstrip("-").isdecimal() else Path(sample)
    found = explain_sample(
        folder, asked, stage, seed=seed, fold=fold, data=data, accelerator=device
    )
    typer.echo(sample_text(found))
    if to is not None:
        typer.echo(f"page: {write_sample_page(found, to)}")
