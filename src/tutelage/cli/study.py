"""``tutelage study``: many experiments from one file. Heavy modules are imported inside the commands."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli.arguments import against_of, meanings_of, tables_folder
from tutelage.cli.options import (
    DataHome,
    Device,
    Devices,
    Jobs,
    Name,
    Overrides,
    Runs,
    Trust,
    Verbose,
)

if TYPE_CHECKING:
    from tutelage.study.file import Study

app = typer.Typer(
    help="Studies: many experiments from one file, planned, run, watched and compared.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

StudyFile = Annotated[Path, typer.Argument(metavar="STUDY", help="Study file (YAML).")]


@app.command()
def plan(
    study: StudyFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    data: DataHome = None,
    device: Device = "auto",
    jobs: Jobs = 0,
    *,
    name: Name = None,
    trust: Trust = False,
) -> None:
    """Say what a study takes before it begins: runs, time by a few measured steps, disk and memory."""
    import time

    from tutelage.cli.progress import Screen, show_estimate
    from tutelage.execution.estimation import estimate, refuse_unfit
    from tutelage.execution.stack_engine import ways_of
    from tutelage.execution.workers import RunConfig
    from tutelage.study.run import plan_study

    began = time.perf_counter()
    loaded = _loaded(study, overrides or [], runs, name)
    with Screen() as screen:
        config = RunConfig(runs, data, device, jobs, trust=trust)
        planned = plan_study(loaded, config, screen)
        found = estimate(planned, screen, well=True, spent=time.perf_counter() - began)
    show_estimate(loaded.name, len(loaded.cells), found)
    for line in ways_of(planned):
        typer.echo(line)
    refuse_unfit(found, runs)


@app.command()
def run(
    study: StudyFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    data: DataHome = None,
    device: Device = "auto",
    jobs: Jobs = 0,
    *,
    devices: Devices = 1,
    engine: Annotated[
        str,
        typer.Option(
            help="local: this machine; ray, slurm: a cluster of Ray, jobs of Slurm; its machines share the runs."
        ),
    ] = "local",
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[=VALUE]",
            help="Option of jobs, as sbatch names it: partition=gpu time=4:00:00; repeatable.",
        ),
    ] = None,
    way: Annotated[
        str,
        typer.Option(
            help="processes: runs side by side; stacked: runs of one shape as one network; auto: as measured."
        ),
    ] = "auto",
    name: Name = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Train what is missing; the same command goes on after it was stopped, and several share the work."""
    from tutelage.cli.progress import Screen
    from tutelage.execution.engines import engine_of
    from tutelage.execution.estimation import estimate, refuse_unfit
    from tutelage.execution.stack_engine import stacking
    from tutelage.execution.workers import RunConfig
    from tutelage.report import write_study_report
    from tutelage.study.run import plan_study, run_study
    from tutelage.study.status import duration

    loaded = _loaded(study, overrides or [], runs, name)
    with Screen(verbose) as screen:
        root = runs if engine == "local" else runs.resolve()
        config = RunConfig(root, data, device, jobs, devices, trust)
        planned = plan_study(loaded, config, screen)
        if engine == "local":  # of a cluster, this machine says nothing
            found = estimate(planned, screen, well=False)
            refuse_unfit(found, runs)
            if found.missing:
                typer.echo(f"{found.missing} runs to train; a guess: {duration(found.seconds)}")
        if engine == "slurm" and way == "auto":
            way = "processes"  # what would be measured is not this machine
        workers = stacking(way, engine_of(engine, planned, screen, sbatch or []))
        folder = run_study(loaded, planned, screen, workers)
    done = sum(task.key in planned.complete for task in planned.tasks)
    typer.echo(f"{folder}: {done} of {len(planned.tasks)} runs are complete")
    if not any(cell.recipe.protocol == "blind" for cell in loaded.cells):
        typer.echo(f"report: {write_study_report(folder)}")
    for line in screen.failed:
        typer.echo(line, err=True)
    if screen.failed:
        raise typer.Exit(1)


@app.command()
def status(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="Of a study: runs/<name>.")],
) -> None:
    """Show what is done, running, failed and missing in each cell, and the time that is left."""
    from tutelage.cli.progress import show_status
    from tutelage.study.status import status_of

    show_status(status_of(folder))


@app.command()
def tune(
    study: StudyFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    data: DataHome = None,
    device: Device = "auto",
    jobs: Jobs = 1,
    *,
    name: Name = None,
    trust: Trust = False,
) -> None:
    """Choose hyper-parameters on validation; the same command goes on after it was stopped."""
    from tutelage.cli.progress import Screen
    from tutelage.execution.workers import RunConfig
    from tutelage.report.study.tuning import write_tuning
    from tutelage.study.tune import own_search
    from tutelage.study.tune import tune as search

    loaded = _loaded(study, overrides or [], runs, name, own_search)
    with Screen() as screen:
        config = RunConfig(runs, data, device, jobs, trust=trust)
        folder = search(loaded, config, screen, screen.say)
        page = write_tuning(folder)
    typer.echo(f"report: {page}")


Folder = Annotated[
    str, typer.Argument(metavar="FOLDER", help="Of a study or experiment: runs/<name>, or a URL.")
]
Out = Annotated[Path | None, typer.Option(help="Folder to write to; <FOLDER>/tables unless told.")]
Metric = Annotated[
    str | None,
    typer.Option(help="accuracy, macro_f1, nll, brier, ece, damaged, damaged:Noise:3, ..."),
]
RESOLUTION = 0.5
FileName = Annotated[
    str | None, typer.Option(help="Of the files; unless told, it says which options were given.")
]
SplitName = Annotated[str | None, typer.Option(help="test, test_legacy or validation.")]


@app.command()
def table(
    folder: Folder,
    *,
    rows: Annotated[str | None, typer.Option(help="stage, fold or axes: teachers,weight")] = None,
    columns: Annotated[str | None, typer.Option(help="stage, fold or axes.")] = None,
    metric: Metric = None,
    split: SplitName = None,
    average: Annotated[str | None, typer.Option(help="Over folds: macro or micro.")] = None,
    spread: Annotated[
        str | None, typer.Option(help="After ±: pooled, seeds, folds, runs, error or none.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Mark what differs from a stage, or from AXIS=VALUE.")
    ] = None,
    name: FileName = None,
    out: Out = None,
) -> None:
    """Make the table of a study from its run folders: Markdown, LaTeX, CSV, xlsx and a page."""
    from tutelage.report.study.pages import write_table
    from tutelage.report.study.table import study_table
    from tutelage.report.writing import name_of
    from tutelage.runs.location import location
    from tutelage.study.layout import table_spec
    from tutelage.study.ledger import read_study

    ledger = read_study(location(folder))
    told = {
        "rows": rows and rows.split(","), "columns": columns and columns.split(","),
        "metric": metric, "split": split, "average": average, "spread": spread,
        "against": against_of(against),
    }  # fmt: skip
    changed = {key: value for key, value in told.items() if value}
    declared = {**ledger.declared, **changed} | ({"spread": None} if spread == "none" else {})
    made = study_table(ledger, table_spec(declared))
    files = name or name_of("table", changed)
    typer.echo(made.table(files, wide=True).markdown())
    for path in write_table(made, tables_folder(folder, out), files):
        typer.echo(path)


@app.command()
def compare(
    folder: Folder,
    *,
    against: Annotated[
        str | None,
        typer.Option(help="A stage, or AXIS=VALUE; the baseline of the recipe unless told."),
    ] = None,
    resolution: Annotated[
        float, typer.Option(help="Half-width of the interval to plan for, in points.", min=1e-6)
    ] = RESOLUTION,
    metric: Metric = None,
    split: SplitName = None,
    name: FileName = None,
    out: Out = None,
) -> None:
    """Compare in pairs over folds and seeds, in each cell and over cells; and both protocols, where recorded."""
    from tutelage.report.study.comparison import sentences
    from tutelage.report.study.pages import write_comparison
    from tutelage.report.writing import name_of
    from tutelage.runs.location import location
    from tutelage.study.contrasts import compare_study
    from tutelage.study.layout import table_spec
    from tutelage.study.ledger import read_study
    from tutelage.study.optimism import optimism

    ledger = read_study(location(folder))
    asked = {key: value for key, value in {"metric": metric, "split": split}.items() if value}
    how = table_spec(asked)
    other = against_of(against)
    found = compare_study(
        ledger, {"stage": other} if isinstance(other, str) else other, how.metric, how.split
    )
    for sentence in sentences(found):
        typer.echo(sentence)
    options: dict[str, object] = {**asked, **({"against": other} if other else {})}
    options |= {} if resolution == RESOLUTION else {"resolution": f"{resolution:g}"}
    files = name or name_of("comparison", options)
    written = write_comparison(
        ledger, found, optimism(ledger), resolution, tables_folder(folder, out), files
    )
    for path in written:
        typer.echo(path)


@app.command()
def audit(
    places: Annotated[
        list[str],
        typer.Argument(
            help="A study or an experiment; or spreadsheets, CSV files, logs, folders of them."
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="Folder for audit.md and audit.json.")] = None,
    means: Annotated[
        list[str] | None,
        typer.Option(help="What a setting of a table stands for: alpha=weight.sig; repeatable."),
    ] = None,
) -> None:
    """Look for every known defect of results, say each in a sentence with its place; exit 1 if any is found."""
    from tutelage.audit.audit import audit_files, audit_study
    from tutelage.runs.location import is_ledger, location

    found = [location(place) for place in places]
    whole = len(found) == 1 and is_ledger(found[0])
    result = audit_study(found[0]) if whole else audit_files(found, meanings_of(means))
    for one in result.findings:
        typer.echo(f"{one.defect}: {one.place}: {one.sentence}")
    here = whole and "://" not in places[0]
    folder = out or (found[0] / "audit" if here else Path("audit"))
    result.write(folder)
    typer.echo(f"{result.verdict} {folder / 'audit.md'}")
    if not result.clean:
        raise typer.Exit(1)


@app.command("import")
def import_(
    files: Annotated[
        list[str], typer.Argument(help="Spreadsheets, CSV files, logs, names, folders of them.")
    ],
    out: Annotated[Path, typer.Option(help="Flat table to write, .csv or .json.")] = Path(
        "claims.csv"
    ),
    means: Annotated[
        list[str] | None,
        typer.Option(help="What a setting stands for: alpha=weight.sig; repeatable."),
    ] = None,
) -> None:
    """Read results that were not made here into one flat table: a row per number, with its settings and place."""
    from tutelage.audit.imports import read_claims, write_claims
    from tutelage.runs.location import location

    claims = read_claims([location(file) for file in files], meanings_of(means))
    write_claims(claims, out)
    typer.echo(f"{out}: {len(claims)} numbers")


def _loaded(
    path: Path,
    overrides: list[str],
    runs: Path,
    name: str | None,
    own: Callable[["Study", Path], "Study"] | None = None,
) -> "Study":
    """Read a study file; an edited one has a folder of its own, unless a name was given."""
    from tutelage.study.file import load_study, own_study

    usual = load_study(path, overrides, name)
    study = usual if name else (own or own_study)(usual, runs)
    if study.name != usual.name:
        typer.echo(
            f"{runs / usual.name} keeps the study as it was; this one has {runs / study.name}"
        )
    return study
