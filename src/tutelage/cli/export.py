"""``ship``, ``predict`` and ``stream``: from a run to files for devices, and what they say."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli.options import DataHome, Device
from tutelage.errors import UserError

__all__ = ["predict", "ship", "stream"]

Trained = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, an experiment or a study.")
]
Shipped = Annotated[
    Path,
    typer.Argument(
        metavar="MODEL", help="Folder of a run, or an .onnx or .tflite file of tutelage ship."
    ),
]
Method = Annotated[
    str | None,
    typer.Option(
        help="Stage of an experiment; CELL or CELL/STAGE of a study. The best on validation."
    ),
]
Hop = Annotated[
    int | None, typer.Option(min=1, help="Samples from one window to the next; as tested.")
]


Rate = Annotated[
    float | None,
    typer.Option(metavar="HZ", help="Of the recording; refused where the model reads another."),
]


def ship(
    run: Trained,
    method: Method = None,
    to: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Where to; shipped/NAME.")
    ] = None,
    formats: Annotated[
        str, typer.Option(help="Some of onnx, onnx-int8, tflite, tflite-int8, c, with commas; all.")
    ] = "",
    data: DataHome = None,
    device: Device = "auto",
    *,
    refit: Annotated[
        bool,
        typer.Option(
            help="Train the method once more on everybody, for as long as the folds chose by validation."
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(help="Keep an int8 file that has lost more than half a point of accuracy."),
    ] = False,
    force: Annotated[bool, typer.Option(help="Replace a folder that is there.")] = False,
) -> None:
    """Write a trained network as files for devices, each held against its run and measured."""
    from tutelage.cli.progress import Screen
    from tutelage.execution.workers import RunConfig
    from tutelage.export.card import write_card
    from tutelage.export.choosing import find_source
    from tutelage.export.formats import chosen_formats, refuse_missing_tools
    from tutelage.export.package import refuse_existing, write_package
    from tutelage.export.refit import refit as train_again
    from tutelage.export.source import evidence_of

    wanted = [name.strip() for name in formats.split(",") if name.strip()]
    chosen_formats(wanted)
    config = RunConfig(data=data, accelerator=device)
    source = find_source(run, method)
    folder = to or Path("shipped") / f"{source.experiment.record.name}-{source.run.stage}"
    refuse_existing(folder, force)
    refuse_missing_tools(wanted)
    for why in filter(None, (source.chosen, "" if refit else source.picked)):
        typer.echo(f"chosen by validation: {why}")
    with Screen() as screen:
        if refit:
            made = train_again(source.experiment, source.run.stage, config, screen)
            source = replace(source, refit=made)
        network, facts, evidence = evidence_of(source, data, screen.progress)
        package = write_package(
            network, facts, evidence, folder, lambda shipped: write_card(source, shipped),
            formats=wanted, accept_loss=accept_loss, force=force, progress=screen.progress,
        )  # fmt: skip
    for name, parity in package.parity.items():
        cost, micro = package.cost[name], package.micro.get(name)
        arena = f", arena {cost.arena.total:,} bytes" if cost.arena else ""
        typer.echo(
            f"{name:17} {cost.flash:>9,} bytes{arena}, {100 * parity.equal:.2f} % of {parity.n:,} answers equal, "
            f"accuracy {100 * parity.accuracy_difference:+.2f} points"
        )
        if micro is not None:
            typer.echo(
                f"{'':17} in the microcontroller's interpreter {100 * micro.equal_litert:.2f} % of {micro.n:,} "
                f"answers equal to LiteRT's, {100 * micro.equal:.2f} % to the network's"
            )
    typer.echo(f"{folder}: read card.md first")


def predict(
    model: Shipped,
    recordings: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A recording (.csv, a column a channel), or an array (.npy)."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help=".csv or .parquet; the screen.")
    ] = None,
    hop: Hop = None,
    rate: Rate = None,
    data: DataHome = None,
) -> None:
    """Say what a model sees in a recording or in windows: start, end, class, probability."""
    from tutelage.export import load_model
    from tutelage.export.recordings import predictions_of, write_predictions

    table = predictions_of(load_model(model, data), recordings, hop, rate)
    if out is None:
        typer.echo(table.to_csv(index=False), nl=False)
    else:
        write_predictions(table, out)
        typer.echo(f"{out}: {len(table):,} windows")


def stream(
    model: Shipped,
    source: Annotated[
        Path,
        typer.Argument(
            metavar="[RECORDING]", help=".csv, a column a channel; - reads what comes in."
        ),
    ] = Path("-"),
    hop: Hop = None,
    smoothing: Annotated[str, typer.Option(help="none, majority or hysteresis.")] = "none",
    memory: Annotated[int, typer.Option(min=1, help="Predictions that smoothing looks at.")] = 5,
    rate: Rate = None,
    data: DataHome = None,
) -> None:
    """Read samples as they come and say a class once every hop, and how much faster than real time that was."""
    import sys
    import time

    from tutelage.export import Stream, load_model
    from tutelage.export.recordings import refuse_rate, rows_of

    if smoothing not in ("none", "majority", "hysteresis"):
        raise UserError(f"--smoothing: found {smoothing!r}; allowed: none, majority, hysteresis")
    loaded = load_model(model, data)
    facts = loaded.facts
    refuse_rate(rate, facts, "--rate")
    running = Stream(loaded, hop=hop, smoothing=smoothing, memory=memory)  # type: ignore[arg-type]
    begun, samples = time.perf_counter(), 0
    name = "standard input" if str(source) == "-" else str(source)
    file = sys.stdin if str(source) == "-" else None
    for block in rows_of(file or source, facts, name):
        samples += block.shape[1]
        for moment in running.push(block):
            at = f"{moment.end / facts.rate:9.2f} s" if facts.rate else f"{moment.end:9d}"
            typer.echo(f"{at}  {moment.name:24} {100 * moment.prediction.probability:5.1f} %")
    spent = time.perf_counter() - begun
    if facts.rate and samples:
        typer.echo(
            f"{samples:,} samples, {samples / facts.rate:.1f} s of signal in {spent:.2f} s: "
            f"{samples / facts.rate / max(spent, 1e-9):.0f} times real time"
        )
