"""``tutelage concepts``: make, clean, import and show concepts, and ask people about them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.errors import UserError
from tutelage.files import replacing
from tutelage.inert import csv_text

if TYPE_CHECKING:  # numpy and torch come with it; --help does without
    from tutelage.concepts import Cleaned, ConceptSet, Rules

_NAMES = 5  # class names that most phrases were left out for

app = typer.Typer(
    help="Concepts in words: make, clean, import, show, and have people rate them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

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


@app.command()
def generate(
    out: Out,
    *,
    classes: Annotated[
        str,
        typer.Option(help="Class names: a,b,c; or a text file with one a line; or a shipped set."),
    ],
    prompts: Annotated[
        str, typer.Option(help="Questions: images, wearable, labo, or a .yaml file.")
    ] = "images",
    model: Annotated[
        str | None, typer.Option(help="As litellm names it: openai/gpt-4o-mini, ollama/qwen2.5.")
    ] = None,
    api_base: Annotated[
        str | None, typer.Option(help="Address of a local server: http://localhost:8080/v1")
    ] = None,
    answers: Annotated[
        Path | None, typer.Option(help="File of answers; what is missing is asked and added.")
    ] = None,
    gap: Annotated[
        list[str] | None, typer.Option(help="Value of a gap: place=waist; repeatable.")
    ] = None,
    count: Annotated[int, typer.Option(help="Lines in one answer.")] = 10,
    repeats: Annotated[int, typer.Option(help="How often the same is asked.")] = 1,
    parallel: Annotated[int, typer.Option(help="Questions out at the same time.")] = 1,
    temperature: Annotated[float, typer.Option(help="Of sampling.")] = 0.7,
    max_tokens: Annotated[int, typer.Option(help="Of one answer.")] = 1024,
    seed: Annotated[int, typer.Option(help="Sent to providers that know one.")] = 0,
    splitter: Annotated[
        str | None,
        typer.Option(help="Sequence-to-sequence model of Hugging Face that splits sentences."),
    ] = None,
    class_names: ClassNames = "reject",
    superclass: Superclass = "",
    also: Also = None,
    refuse: Refuse = None,
    longest: Longest = 19,
    dropped: DroppedFile = None,
) -> None:
    """Ask a language model, or a file of its answers, for concepts of every class."""
    from tutelage import concepts as c
    from tutelage.cli.progress import Screen

    source: c.LanguageModel | c.RecordedAnswers
    if model is not None:
        asked = c.LanguageModel(
            model, api_base, temperature=temperature, max_tokens=max_tokens, seed=seed
        )
        source = asked if answers is None else c.RecordedAnswers(answers, asked)
    elif answers is not None:
        source = c.RecordedAnswers(answers)
    else:
        raise UserError("concepts generate: found neither --model nor --answers, one is needed")
    values = _pairs(gap or [], "--gap")
    if superclass:
        values.setdefault("superclass", superclass)
    with Screen() as screen:
        found = c.generate(
            out.stem,
            _classes(classes),
            c.open_prompts(prompts),
            source,
            asking=c.Asking(count, repeats, values, parallel),
            split=c.Seq2SeqSplitter(splitter) if splitter else None,
            rules=_rules(class_names, superclass, also, refuse, longest),
            progress=screen.progress,
        )
    _finish(found, out, dropped)


@app.command()
def clean(
    source: Source,
    out: Out,
    *,
    class_names: ClassNames = "reject",
    superclass: Superclass = "",
    also: Also = None,
    refuse: Refuse = None,
    longest: Longest = 19,
    dropped: DroppedFile = None,
) -> None:
    """Spell phrases alike, leave out what breaks the rules, join equal ones without losing a class."""
    from tutelage import concepts as c

    rules = _rules(class_names, superclass, also, refuse, longest)
    _finish(c.clean(c.open_concepts(source), rules), out, dropped)


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="LaBo's class2concepts.json, a .csv or a .txt.")],
    out: Out,
    *,
    rename: Annotated[
        list[str] | None, typer.Option(help="Class name there=here; repeatable.")
    ] = None,
    raw: Annotated[bool, typer.Option("--raw", help="Take phrases as they are.")] = False,
    class_names: ClassNames = "reject",
    superclass: Superclass = "",
    also: Also = None,
    refuse: Refuse = None,
    longest: Longest = 19,
    dropped: DroppedFile = None,
) -> None:
    """Read concepts that somebody else wrote, clean them, and write them with their origin."""
    from tutelage import concepts as c

    found = c.read_any(file).renamed(_pairs(rename or [], "--rename"))
    rules = _rules(class_names, superclass, also, refuse, longest)
    _finish(c.Cleaned(found, (), 0) if raw else c.clean(found, rules), out, dropped)


@app.command()
def show(
    source: Source,
    class_name: Annotated[
        str | None, typer.Argument(metavar="[CLASS]", help="A class: its concepts.")
    ] = None,
    concept: Annotated[str | None, typer.Option(help="A concept: where it came from.")] = None,
) -> None:
    """Show how many concepts each class has, the concepts of one class, or the origin of one concept."""
    from tutelage import concepts as c

    found = c.open_concepts(source)
    if concept is not None:
        _show_concept(found, concept)
    elif class_name is not None:
        for number in found.of(class_name):
            one = found.concepts[number]
            others = [owner for owner in one.owners if owner != class_name]
            typer.echo(one.text + (f"  (also {', '.join(others)})" if others else ""))
    else:
        _show_set(found)


@app.command()
def ask(
    source: Source,
    out: Annotated[Path, typer.Argument(help="Table for the raters to fill, .csv.")],
    samples: Annotated[
        Path | None,
        typer.Option(help="Factuality: .csv with columns class, sample; drawn at random."),
    ] = None,
    top: Annotated[
        Path | None,
        typer.Option(
            help="Groundability: .csv with columns concept, sample; the best of the encoder."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the order of the questions.")] = 0,
) -> None:
    """Write questions to people: does this phrase hold of this sample?"""
    from tutelage import concepts as c

    found = c.open_concepts(source)
    shown = _grouped(samples, "class") if samples else {}
    best = _grouped(top, "concept") if top else {}
    asked = c.questions(found, shown, best, seed=seed)
    c.write_questions(asked, out)
    typer.echo(f"{out}: {len(asked)} questions; every rater fills a copy, columns rater and answer")


@app.command()
def rated(
    files: Annotated[list[Path], typer.Argument(help="Filled tables, one or more.")],
    worst: Annotated[int, typer.Option(help="How many of the worst concepts to show.")] = 5,
) -> None:
    """Show the average factuality and groundability, and how far the raters agree."""
    from tutelage import concepts as c

    found = c.summarise(c.read_ratings(files))
    if not found:
        raise UserError(f"concepts rated: found no answer in {', '.join(map(str, files))}")
    for one in found:
        typer.echo(
            f"{one.kind}: {one.mean:.3f}, SD over concepts {one.spread:.3f}, n = {len(one.scores)} concepts, "
            f"{one.raters} raters; Krippendorff's alpha {one.agreement:.2f}, equal answers {one.same:.2f}"
        )
        for score in one.scores[:worst]:
            name = f"{score.class_name}: " if score.class_name else ""
            typer.echo(f"  {score.share:.2f}  {name}{score.concept} ({score.answers} answers)")


def _classes(text: str) -> list[str]:
    from tutelage import concepts as c

    if text in c.shipped():
        return list(c.open_concepts(text).classes)
    lines = Path(text).read_text(encoding="utf-8").splitlines() if Path(text).is_file() else None
    names = [name.strip() for name in (text.split(",") if lines is None else lines)]
    return [name for name in names if name]


def _rules(
    class_names: str,
    superclass: str,
    also: list[str] | None,
    refuse: list[str] | None,
    longest: int,
) -> "Rules":
    from tutelage import concepts as c

    return c.Rules(
        class_names=class_names,  # type: ignore[arg-type]  # the class refuses other words in one sentence
        superclass=superclass,
        also=tuple(also or ()),
        refuse=tuple(refuse or ()),
        longest=longest,
    )


def _finish(found: "Cleaned", out: Path, dropped: Path | None) -> None:
    from tutelage import concepts as c

    if out.suffix != ".json":
        raise UserError(
            f"{out}: found {out.suffix or 'no ending'!r}, concepts are written to .json"
        )
    c.write(found.concepts, out)
    if dropped is not None:
        left_out = ([each.text, "; ".join(each.owners), each.reason] for each in found.dropped)
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


def _show_set(found: "ConceptSet") -> None:
    typer.echo(f"{found.name}: {len(found)} concepts of {len(found.classes)} classes")
    if found.about:
        typer.echo(found.about)
    typer.echo(f"licence: {found.licence or 'none stated'}; fingerprint {found.fingerprint}")
    shared = sum(len(one.owners) > 1 for one in found.concepts)
    typer.echo(f"{shared} concepts belong to several classes")
    width = max(len(name) for name in found.classes)
    for name in found.classes:
        numbers = found.of(name)
        own = sum(len(found.concepts[number].owners) == 1 for number in numbers)
        typer.echo(f"  {name:<{width}}  {len(numbers):4d}, of its own {own}")


def _show_concept(found: "ConceptSet", text: str) -> None:
    one = found.concepts[found.number(text)]
    typer.echo(f"{one.text}: {', '.join(one.owners)}")
    for origin in one.origins:
        said = [("source", origin.source), ("model", origin.model), ("when", origin.when)]
        typer.echo(f"  {origin.class_name}: " + ", ".join(f"{k} {v}" for k, v in said if v))
        for name, value in (("asked", origin.prompt), ("said", origin.sentence)):
            if value:
                typer.echo(f"    {name}: {' '.join(value.split())}")
    if not one.origins:
        typer.echo("  origin not known")


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for key, sign, value in pairs:
        if not sign or not key:
            raise UserError(f"{option}: found {key + value!r}, allowed is NAME=VALUE")
    return {key: value for key, _, value in pairs}


def _grouped(path: Path, column: str) -> dict[str, list[str]]:
    from tutelage.concepts.files import rows_of

    found: dict[str, list[str]] = {}
    for row in rows_of(path, (column, "sample")):
        found.setdefault(row[column], []).append(row["sample"])
    return found
