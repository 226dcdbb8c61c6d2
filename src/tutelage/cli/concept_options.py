"""What the commands on concepts share: options, rules, and what is told in the end."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.errors import UserError
from tutelage.files import replacing
from tutelage.inert import csv_text

if TYPE_CHECKING:  # numpy and torch come with it; --help does without
    from tutelage.concepts import Cleaned, Rules

_NAMES = 5  # class names that most phrases were left out for

Source = Annotated[str, typer.Argument(metavar="CONCEPTS", help="A shipped set, or a .json file.")]
Out = Annotated[Path, typer.Argument(help="File to write, .json.")]
ClassNames = Annotated[
    str,
    typer.Option(
        "--class-names", help="What with a phrase that names a class: reject, remove, replace."
    ),
]
Superclass = Annotated[str, typer.Option(help="Word for all classes, such as animal.")]
Also = Annotated[
    list[str] | None,
    typer.Option(help="Another word that tells a class, such as plane; repeatable."),
]
Refuse = Annotated[
    list[str] | None, typer.Option(help="A word no phrase may have, such as loyal; repeatable.")
]
Longest = Annotated[int, typer.Option(help="Largest number of words.")]
DroppedFile = Annotated[
    Path | None, typer.Option("--dropped", help="Write what was left out, and why, to this .csv.")
]
LeaveOut = Annotated[
    str,
    typer.Option(
        "--leave-out",
        help="Unclear phrases that are left out: some of vague, negated, cut; '' for none.",
    ),
]


def rules_of(
    class_names: str,
    superclass: str,
    also: list[str] | None,
    refuse: list[str] | None,
    longest: int,
    leave_out: str,
) -> "Rules":
    """Return the rules that the options of a command say."""
    from tutelage import concepts as c

    return c.Rules(
        class_names=class_names,  # type: ignore[arg-type]  # the class refuses other words in one sentence
        superclass=superclass,
        also=tuple(also or ()),
        refuse=tuple(refuse or ()),
        longest=longest,
        unclear=tuple(kind.strip() for kind in leave_out.split(",") if kind.strip()),  # type: ignore[misc]
    )


def finish(found: "Cleaned", out: Path, dropped: Path | None) -> None:
    """Write what stayed, and tell what did not."""
    from tutelage import concepts as c

    if out.suffix != ".json":
        raise UserError(
            f"{out}: found {out.suffix or 'no ending'!r}, concepts are written to .json"
        )
    c.write(found.concepts, out)
    if dropped is not None:
        left_out = (
            [
                each.text,
                "; ".join(each.owners),
                f"{each.reason}: {each.word}" if each.word else each.reason,
            ]
            for each in found.dropped
        )
        with replacing(dropped) as unfinished:
            text = csv_text(["concept", "classes", "reason"], left_out)
            unfinished.write_text(text, encoding="utf-8", newline="")
    typer.echo(f"{out}: {len(found.concepts)} concepts of {len(found.concepts.classes)} classes")
    if found.joined:
        typer.echo(f"joined with an equal one: {found.joined}")
    for reason, count in found.reasons.items():
        typer.echo(f"left out, {reason}: {count}")
    for name, count in list(found.names.items())[:_NAMES]:
        typer.echo(f"  for {name!r}: {count}")
    for name in found.concepts.classes:
        if not found.concepts.of(name):
            typer.echo(f"class {name!r} has no concept", err=True)


def pairs_of(texts: list[str], option: str) -> dict[str, str]:
    """Return the values of a repeated NAME=VALUE option."""
    pairs = [text.partition("=") for text in texts]
    for key, sign, value in pairs:
        if not sign or not key:
            raise UserError(f"{option}: found {key + value!r}, allowed is NAME=VALUE")
    return {key: value for key, _, value in pairs}


def grouped(path: Path, column: str) -> dict[str, list[str]]:
    """Return the samples of a table by class or concept."""
    from tutelage.concepts.files import rows_of

    found: dict[str, list[str]] = {}
    for row in rows_of(path, (column, "sample")):
        found.setdefault(row[column], []).append(row["sample"])
    return found
