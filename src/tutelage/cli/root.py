"""The command line. Heavy modules are imported in the commands that need them."""

from pathlib import Path
from typing import Annotated

import typer

import tutelage
from tutelage.cli import cache as cache_command
from tutelage.cli import concept_runs, main
from tutelage.cli import concepts as concept_commands
from tutelage.cli import encoders as encoder_commands
from tutelage.cli import explain as explain_command
from tutelage.cli import export as export_commands
from tutelage.cli import look as look_command
from tutelage.cli import start as start_commands
from tutelage.cli import study as study_commands
from tutelage.cli import track as track_command
from tutelage.cli.groups import AskingGroup, SentenceGroup, WholeGroup
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
from tutelage.errors import UserError, unknown

app = typer.Typer(
    name="tutelage",
    cls=WholeGroup,
    help="Many teachers, one small student: knowledge distillation that proves what it claims.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

concept_commands.app.command()(concept_runs.edit)
concept_commands.app.command()(concept_runs.rate)
app.add_typer(concept_commands.app, name="concepts", cls=AskingGroup)
app.add_typer(encoder_commands.app, name="encoders", cls=SentenceGroup)
app.add_typer(study_commands.app, name="study", cls=SentenceGroup)
for command in (
    export_commands.ship, export_commands.predict, export_commands.stream,
    start_commands.new, start_commands.recipes, start_commands.schema, start_commands.doctor, look_command.look,
    explain_command.explain, cache_command.cache, track_command.track,
):  # fmt: skip
    app.command()(command)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"tutelage {tutelage.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_version, help="Show the version.")
    ] = False,
) -> None:
    """Take the options of the command itself."""


RecipeFile = Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe file (YAML).")]
SLOTS = {
    "objectives": "tutelage.objectives",
    "terms": "tutelage.terms",
    "weightings": "tutelage.weighting",
    "schedules": "tutelage.schedules",
    "networks": "tutelage.models",
    "modalities": "tutelage.modalities",
    "encoders": "tutelage.vlm",
    "augmentations": "tutelage.augment",
    "corruptions": "tutelage.corruptions",
    "averages": "tutelage.averaging",
    "data": "tutelage.data",
    "splits": "tutelage.data.splits",
    "steps": "tutelage.steps",
}


@app.command()
def run(
    recipe: RecipeFile,
    overrides: Overrides = None,
    runs: Runs = Path("runs"),
    data: DataHome = None,
    device: Device = "auto",
    jobs: Jobs = 0,
    *,
    devices: Devices = 1,
    name: Name = None,
    trust: Trust = False,
    verbose: Verbose = False,
) -> None:
    """Carry out a recipe: train what is missing, resume what was interrupted, write the report."""
    from tutelage.cli.progress import Screen
    from tutelage.execution.run import execute
    from tutelage.execution.storage import own_name
    from tutelage.execution.workers import RunConfig
    from tutelage.recipe.config import Recipe, load, parse
    from tutelage.recipe.reader import folder_name
    from tutelage.report import write_report

    loaded = load(recipe, overrides or [])
    with Screen(verbose) as screen:
        config = RunConfig(runs, data, device, jobs, devices, trust)
        usual = folder_name(recipe, overrides or [])
        own = name or own_name(
            runs / usual / "experiment.json", usual, loaded.model_dump(mode="json"),
            lambda content: parse(Recipe, content, "").untested,
        )  # fmt: skip
        if own not in (name, usual):
            typer.echo(f"{runs / usual} keeps the recipe as it was; this one has {runs / own}")
        folder = execute(loaded, own, config, screen)
        page = write_report(folder)
    screen.summary(folder, page)
    if screen.failed:
        raise typer.Exit(1)


@app.command()
def check(
    recipe: RecipeFile,
    overrides: Overrides = None,
    data: DataHome = None,
    *,
    trust: Trust = False,
    teachers: Annotated[
        bool, typer.Option("--teachers", help="Say what trained teachers know together, instead.")
    ] = False,
    train: Annotated[
        bool, typer.Option("--train", help="With --teachers: train those that are missing.")
    ] = False,
    runs: Runs = Path("runs"),
    device: Device = "auto",
    jobs: Jobs = 0,
) -> None:
    """Build everything in a recipe and try one batch of every stage; nothing is trained."""
    if train and not teachers:
        raise UserError(
            "--train: found without --teachers; allowed: both (tutelage run trains all)"
        )
    if teachers:
        from tutelage.cli.teachers import check_teachers
        from tutelage.execution.workers import RunConfig

        check_teachers(
            recipe, overrides or [], RunConfig(runs, data, device, jobs, 1, trust), train
        )
        return
    from tutelage.cli.progress import Screen, show_checks
    from tutelage.data import home
    from tutelage.recipe.config import load
    from tutelage.recipe.data_spec import DataSpec, folds, load_data
    from tutelage.recipe.fold import Fold
    from tutelage.recipe.resolve import resolve
    from tutelage.training.check import check as examine

    loaded = load(recipe, overrides or [])
    with Screen() as screen:
        source = DataSpec.of(loaded)
        dataset = load_data(loaded.data, data, screen.progress)
        # Nothing is computed for the whole set here; only that the split is clean is remembered.
        cache = (data or home()) / "checks"
        data_folds = {n: Fold.of(source, dataset, n, cache) for n in folds(loaded, dataset)}
        specs = {n: resolve(loaded, n, fold, trust=trust) for n, fold in data_folds.items()}
        first = next(iter(specs))
        checked = examine(specs[first], data_folds[first])
    count = sum(len(of_fold) for of_fold in specs.values())
    show_checks(recipe, dataset, list(data_folds.values()), checked, count)


@app.command("list")
def list_(
    slot: Annotated[str | None, typer.Argument(help=f"One of: {', '.join(SLOTS)}.")] = None,
) -> None:
    """List what a recipe can name, with one line each."""
    import importlib
    import inspect

    if slot is not None and slot not in SLOTS:
        raise unknown("list", "slot", slot, SLOTS)
    for title, path in SLOTS.items():
        if slot not in (None, title):
            continue
        module = importlib.import_module(path)
        typer.echo(f"{title}  ({path})")
        for item in module.__all__:
            cls = getattr(module, item)
            if inspect.isclass(cls) and not inspect.isabstract(cls):
                line = (inspect.getdoc(cls) or "").partition("\n")[0]
                typer.echo(f"  {item:<22}{line}")
        typer.echo()


@app.command()
def report(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Of an experiment or a study: runs/<name>.")
    ],
    out: Annotated[Path | None, typer.Option(help="Folder to write to.")] = None,
    *,
    cells: Annotated[bool, typer.Option(help="Of a study: also the reports of its cells.")] = True,
) -> None:
    """Write the report of an experiment or a study: one HTML page, and its tables as Markdown, LaTeX and CSV."""
    from tutelage.report import write_report, write_study_report

    if (folder / "study.json").is_file():
        typer.echo(write_study_report(folder, out, cells=cells))
    else:
        typer.echo(write_report(folder, out))


@app.command()
def serve(
    runs: Annotated[Path, typer.Argument(help="Folder of studies and experiments.")] = Path("runs"),
    port: Annotated[int, typer.Option(help="0 takes one that is free.", min=0, max=65535)] = 8080,
) -> None:
    """Show runs while they are trained: progress, curves, holes, time left; on this machine alone."""
    from tutelage.report.serve.server import ADDRESS, live_server

    with live_server(runs, port) as server:
        typer.echo(f"http://{ADDRESS}:{server.server_address[1]}  (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("ended")


@app.command()
def data(
    loader: Annotated[
        str,
        typer.Argument(
            help="A data set, such as Hapt (see: tutelage list data), or a recipe file."
        ),
    ],
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Its arguments: window=100")
    ] = None,
    home: DataHome = None,
    *,
    page: Annotated[
        Path | None, typer.Option(help="HTML page to write, with a few windows drawn.")
    ] = None,
) -> None:
    """Fetch and parse a data set, check it, and show its classes, subjects and channels."""
    from tutelage.cli.progress import Screen
    from tutelage.data.prepare import describe
    from tutelage.recipe.data_spec import load_data
    from tutelage.recipe.reader import described_data

    with Screen() as screen:
        dataset = load_data(described_data(loader, arguments or []), home, screen.progress)
    typer.echo(str(describe(dataset)))
    if page is not None:
        from tutelage.report.dataset import write_data_page

        typer.echo(f"page: {write_data_page(dataset, page)}")


if __name__ == "__main__":
    main()
