"""``tutelage track``: complete runs in the experiment tracker that people have already."""

from typing import Annotated

import typer

__all__ = ["track"]


def track(
    folder: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER", help="Of an experiment, a study, or all of them: runs, runs/<name>."
        ),
    ],
    to: Annotated[str, typer.Option(help="mlflow, wandb or trackio.")],
    project: Annotated[str | None, typer.Option(help="Its name there; that of the folder.")] = None,
    uri: Annotated[
        str | None,
        typer.Option(
            help="MLflow: database or server; sqlite:///mlflow.db. W&B: folder for its offline runs."
        ),
    ] = None,
    *,
    files: Annotated[
        bool, typer.Option("--files", help="Also record, log, evaluation and network of each run.")
    ] = False,
) -> None:
    """Write complete runs to MLflow, Weights & Biases or Trackio; what is there already is not doubled."""
    from tutelage.cli.progress import Screen
    from tutelage.runs.location import location
    from tutelage.tracking import track_runs

    with Screen() as screen:
        sent = track_runs(location(folder), to, project, uri, files=files, progress=screen.progress)
    typer.echo(str(sent))
    if sent.skipped:
        typer.echo("the same command takes up what was skipped once it is complete")
