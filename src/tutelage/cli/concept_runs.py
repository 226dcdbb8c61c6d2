"""``tutelage concepts edit`` and ``rate``: what people change in a trained network, and what they say of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli.options import DataHome, Device
from tutelage.errors import UserError

if TYPE_CHECKING:
    from tutelage.export.validated import ValidatedRun
    from tutelage.training.concept_edit import ConceptEdit, EditEffect

Trained = Annotated[
    Path, typer.Argument(metavar="RUN", help="Folder of a run, or of an experiment with --method.")
]
Method = Annotated[
    str | None, typer.Option(help="Stage of an experiment; its best run on validation.")
]


def edit(
    run: Trained,
    concept: Annotated[str | None, typer.Option(help="Which concept.")] = None,
    *,
    weight: Annotated[
        float | None,
        typer.Option(help="How many times as much it counts: 0 removes it, -1 turns it around."),
    ] = None,
    class_: Annotated[
        list[str] | None,
        typer.Option("--class", help="For which class; repeatable. All unless given."),
    ] = None,
    stream: Annotated[str, typer.Option(help="Of the concept, where two have its name.")] = "",
    table: Annotated[
        Path | None, typer.Option(help="Many edits: .csv with columns concept, class, weight.")
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write the edited network (ConceptBottleneck)."),
    ] = None,
    method: Method = None,
    data: DataHome = None,
    device: Device = "auto",
) -> None:
    """Let a concept count more, less or not at all, and show what validation predictions become of it."""
    from tutelage.cli.progress import Screen
    from tutelage.export.validated import open_validated
    from tutelage.training.concept_edit import edit_effect

    edits = _edits(concept, weight, tuple(class_ or ()), stream, table)
    with Screen() as screen:
        opened = open_validated(run, method, data, device, screen.progress)
        effect = edit_effect(opened.asked, opened.index, edits, opened.class_names)
    _show(opened, edits, effect)
    if to is not None:
        opened.write_edited(edits, to)
        typer.echo(f"{to}: the edited network; in a recipe: {{run: {to}}}")


def rate(
    run: Trained,
    out: Annotated[
        Path, typer.Argument(help="A page, .html, or a table with pictures beside it, .csv.")
    ],
    *,
    samples: Annotated[
        int, typer.Option(min=1, help="Of each class, drawn at random from validation.")
    ] = 3,
    concepts: Annotated[int, typer.Option(min=1, help="Of each class, the strongest.")] = 5,
    seed: Annotated[int, typer.Option(help="Of the draw and of the order of the questions.")] = 0,
    method: Method = None,
    data: DataHome = None,
) -> None:
    """Ask people about a trained network's concepts: do they hold of their classes, and where it says so?

    The answers are read back by tutelage concepts rated, which can filter a set by them.
    """
    from tutelage.cli.progress import Screen
    from tutelage.concepts import write_questions
    from tutelage.export.validated import open_validated, questions_about
    from tutelage.report.drawing.sheet import SignalAxis
    from tutelage.report.rating import write_pictures, write_rating_page

    if out.suffix not in (".html", ".csv"):
        raise UserError(f"{out}: found {out.suffix or 'no ending'!r}, allowed are .html and .csv")
    with Screen() as screen:
        opened = open_validated(run, method, data, "cpu", screen.progress)
    asked = questions_about(opened, samples, concepts, seed)
    dataset = opened.fold.dataset
    axis = SignalAxis(dataset.rate or 0.0, tuple(dataset.channel_names))
    pictures = {one.sample: dataset.inputs[int(one.sample)] for one in asked}
    if out.suffix == ".html":
        write_rating_page(
            asked, pictures, out, f"{opened.run.stage}: do these concepts hold?", axis
        )
        typer.echo(
            f"{out}: {len(asked)} questions; every rater opens it, answers, and saves a table"
        )
    else:
        beside = out.with_name(f"{out.stem}-samples")
        write_questions(write_pictures(asked, pictures, beside, axis), out)
        typer.echo(f"{out}: {len(asked)} questions, pictures in {beside}; every rater fills a copy")
    typer.echo("read back by: tutelage concepts rated FILES [--of SET.json --to FILTERED.json]")


def _edits(
    concept: str | None,
    weight: float | None,
    classes: tuple[str, ...],
    stream: str,
    table: Path | None,
) -> list["ConceptEdit"]:
    from tutelage.concepts.files import rows_of
    from tutelage.training.concept_edit import ConceptEdit

    if (concept is None) != (weight is None) or (concept is None) == (table is None):
        raise UserError("concepts edit: needed are --concept and --weight, or --table alone")
    if concept is not None and weight is not None:
        return [ConceptEdit(concept, weight, classes, stream)]
    assert table is not None
    found = []
    for number, row in enumerate(rows_of(table, ("concept", "class", "weight")), 1):
        try:
            value = float(row["weight"])
        except ValueError:
            raise UserError(
                f"{table}: row {number}: weight: found {row['weight']!r}, allowed is a number"
            ) from None
        names = (row["class"],) if row["class"].strip() else ()
        found.append(ConceptEdit(row["concept"], value, names, stream))
    if not found:
        raise UserError(f"{table}: found no row, allowed is one or more")
    return found


def _show(opened: "ValidatedRun", edits: list["ConceptEdit"], effect: "EditEffect") -> None:
    typer.echo(f"{opened.place}: {len(effect.labels)} validation samples")
    for one in edits:
        whom = f" for {', '.join(one.classes)}" if one.classes else ""
        typer.echo(f"  {one.concept!r} counts {one.weight:g} times as much{whom}")
    before, after = effect.accuracy
    typer.echo(
        f"accuracy {100 * before:.2f} % before, {100 * after:.2f} % after: {effect.changed} predicted otherwise, "
        f"{effect.righted} became right, {effect.spoiled} became wrong"
    )
    typer.echo(
        f"the true class moved {effect.moved.mean():+.3f} away from its strongest rival, mean of all samples"
    )
    for label, (old, new) in effect.recalls().items():
        typer.echo(
            f"  {opened.class_names[label]}: recall {100 * old:.1f} % before, {100 * new:.1f} % after"
        )
    typer.echo(
        "these samples chose the network, and now the edit: only other people or pictures say what it is worth"
    )
