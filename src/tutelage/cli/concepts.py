"""``tutelage concepts``: make, clean, import and show concepts, and ask people about them."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tutelage.cli.concept_options import (
    Also,
    ClassNames,
    DroppedFile,
    LeaveOut,
    Longest,
    Out,
    Refuse,
    Source,
    Superclass,
    finish,
    grouped,
    pairs_of,
    rules_of,
)
from tutelage.errors import UserError

if TYPE_CHECKING:  # numpy and torch come with it; --help does without
    from tutelage.concepts import Cleaned, ConceptSet

app = typer.Typer(
    help="Concepts in words: make, clean, import, show, and have people rate them.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


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
    sentences: Annotated[
        int | None,
        typer.Option(help="Lines of each class in all, such as 500: instead of --repeats."),
    ] = None,
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
    leave_out: LeaveOut = "vague,cut",
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
    values = pairs_of(gap or [], "--gap")
    if superclass:
        values.setdefault("superclass", superclass)
    with Screen() as screen:
        found = c.generate(
            out.stem,
            _classes(classes),
            c.open_prompts(prompts),
            source,
            asking=c.Asking(count, repeats, values, parallel, sentences),
            split=c.Seq2SeqSplitter(splitter) if splitter else None,
            rules=rules_of(class_names, superclass, also, refuse, longest, leave_out),
            progress=screen.progress,
        )
    finish(found, out, dropped)


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
    leave_out: LeaveOut = "vague,cut",
    alike: Annotated[
        float | None,
        typer.Option(
            help="Cosine from which on phrases of a class are one, such as 0.95; needs --encoder."
        ),
    ] = None,
    encoder: Annotated[
        str | None,
        typer.Option(help="Whose text tower compares: '{type: OpenClip, model: folder}'."),
    ] = None,
    dropped: DroppedFile = None,
) -> None:
    """Spell phrases alike, leave out what breaks the rules, join equal ones without losing a class."""
    from tutelage import concepts as c

    if (alike is None) != (encoder is None):
        raise UserError("--alike, --encoder: found one of them, needed are both")
    rules = rules_of(class_names, superclass, also, refuse, longest, leave_out)
    found = c.clean(c.open_concepts(source), rules)
    if alike is not None and encoder is not None:
        found = _without_alike(found, alike, encoder)
    finish(found, out, dropped)


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
    leave_out: LeaveOut = "vague,cut",
    dropped: DroppedFile = None,
) -> None:
    """Read concepts that somebody else wrote, clean them, and write them with their origin."""
    from tutelage import concepts as c

    found = c.read_any(file).renamed(pairs_of(rename or [], "--rename"))
    rules = rules_of(class_names, superclass, also, refuse, longest, leave_out)
    finish(c.Cleaned(found, (), 0) if raw else c.clean(found, rules), out, dropped)


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
    shown = grouped(samples, "class") if samples else {}
    best = grouped(top, "concept") if top else {}
    asked = c.questions(found, shown, best, seed=seed)
    c.write_questions(asked, out)
    typer.echo(f"{out}: {len(asked)} questions; every rater fills a copy, columns rater and answer")


@app.command()
def rated(
    files: Annotated[list[Path], typer.Argument(help="Filled tables, one or more.")],
    worst: Annotated[int, typer.Option(help="How many of the worst concepts to show.")] = 5,
    of: Annotated[
        str | None,
        typer.Option(help="Set to filter by the answers: a shipped one, or a .json file."),
    ] = None,
    to: Annotated[Path | None, typer.Option(help="Filtered set to write, .json.")] = None,
    least: Annotated[
        float, typer.Option(help="Smallest share of yes with which a concept stays.")
    ] = 0.5,
) -> None:
    """Show the average factuality and groundability, and how far the raters agree; filter a set by the answers."""
    from tutelage import concepts as c

    if (of is None) != (to is None):
        raise UserError("--of, --to: found one of them, needed are both")
    ratings = c.read_ratings(files)
    found = c.summarise(ratings)
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
    if of is not None and to is not None:
        finish(c.well_rated(c.open_concepts(of), ratings, least), to, None)


def _without_alike(found: "Cleaned", limit: float, encoder: str) -> "Cleaned":
    from dataclasses import replace

    from tutelage.concepts.alike import without_alike
    from tutelage.recipe.instantiate import build
    from tutelage.recipe.reader import read_text
    from tutelage.vlm import EncoderSource

    source = build("tutelage.vlm", read_text(encoder, "--encoder"), "--encoder", base=EncoderSource)
    left = without_alike(found.concepts, source.embed_texts, limit)
    return replace(left, dropped=(*found.dropped, *left.dropped), joined=found.joined)


def _classes(text: str) -> list[str]:
    from tutelage import concepts as c

    if text in c.shipped():
        return list(c.open_concepts(text).classes)
    lines = Path(text).read_text(encoding="utf-8").splitlines() if Path(text).is_file() else None
    names = [name.strip() for name in (text.split(",") if lines is None else lines)]
    return [name for name in names if name]


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
