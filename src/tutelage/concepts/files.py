"""Files of concepts: one JSON format with provenance, the sets that are shipped, and what others write."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from tutelage.concepts.concept import Concept, ConceptSet, Provenance
from tutelage.errors import UserError, near
from tutelage.files import replacing

FORMAT = "tutelage-concepts"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Answer(_Strict):
    """What one origin shares with others: a class, a source, and a model's prompt."""

    class_name: str
    source: str
    model: str = ""
    prompt: str = ""
    when: str = ""


class _Said(_Strict):
    answer: int
    sentence: str = ""


class _Row(_Strict):
    text: str
    classes: tuple[str, ...]
    said: tuple[_Said, ...] = ()


class _ConceptFile(_Strict):
    format: Literal["tutelage-concepts"]
    version: Literal[1]
    name: str
    about: str = ""
    licence: str = ""
    classes: tuple[str, ...]
    answers: tuple[_Answer, ...] = ()
    concepts: tuple[_Row, ...]


def shipped() -> tuple[str, ...]:
    """Return the names of the sets that come with Tutelage."""
    return tuple(sorted(path.name.removesuffix(".json") for path in _shipped().iterdir()))


def open_concepts(place: str | Path) -> ConceptSet:
    """Return a shipped set by name, or a set from a file of ours.

    Args:
        place: ``cifar10``, or a path that ends in ``.json``.

    Raises:
        UserError: there is no such set, or the file is not of the format; see :func:`read`.
    """
    if Path(place).suffix:
        return read(Path(place))
    if str(place) not in shipped():
        raise UserError(
            f"concepts: found {str(place)!r}{near(str(place), shipped())} "
            f"(allowed: {', '.join(shipped())}, or a file that ends in .json)"
        )
    return parse(
        (_shipped() / f"{place}.json").read_text(encoding="utf-8"), f"concepts {str(place)!r}"
    )


def read(path: Path) -> ConceptSet:
    """Return the concepts of a file of ours.

    Raises:
        UserError: there is no such file, or it is not of the format.
    """
    return parse(text_of(path), str(path))


def parse(text: str, place: str) -> ConceptSet:
    """Return the concepts of the text of a file.

    Args:
        text: JSON.
        place: what messages call it.

    Raises:
        UserError: it is not of the format; the sentence names the first place.
    """
    content = json_of(text, place)
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(
            f"{place}: found no format {FORMAT!r} in it; class2concepts.json of LaBo, .csv and .txt "
            "files are read by: tutelage concepts import"
        )
    try:
        file = _ConceptFile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{place}: {where}: {first['msg']}") from error
    concepts = tuple(
        Concept(row.text, row.classes, tuple(_origin(file, said, place) for said in row.said))
        for row in file.concepts
    )
    return ConceptSet(file.name, file.classes, concepts, file.about, file.licence)


def write(concepts: ConceptSet, path: Path) -> None:
    """Write concepts to a file of ours: one line for each, the same bytes for the same set."""
    with replacing(path) as unfinished:
        unfinished.write_text(dumps(concepts), encoding="utf-8")


def dumps(concepts: ConceptSet) -> str:
    """Return the text of a file of ours."""
    answers: dict[_Answer, int] = {}
    rows = []
    for concept in concepts.concepts:
        said = []
        for origin in concept.origins:
            answer = _Answer(
                class_name=origin.class_name,
                source=origin.source,
                model=origin.model,
                prompt=origin.prompt,
                when=origin.when,
            )
            number = answers.setdefault(answer, len(answers))
            said.append(_Said(answer=number, sentence=origin.sentence))
        rows.append(_Row(text=concept.text, classes=concept.owners, said=tuple(said)))
    head: Mapping[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "name": concepts.name,
        "about": concepts.about,
        "licence": concepts.licence,
        "classes": list(concepts.classes),
    }
    lines = [f'  "{key}": {_json(value)},' for key, value in head.items()]
    lines += ['  "answers": [', _lines(answers), "  ],", '  "concepts": [', _lines(rows), "  ]"]
    return "\n".join(["{", *(line for line in lines if line), "}", ""])


def read_labo(path: Path, source: str = "") -> ConceptSet:
    """Return the concepts of LaBo's ``class2concepts.json`` or ``selected_concepts``: {class: [phrase, ...]}.

    Spaces are put in order and empty phrases left out; nothing else is changed. A phrase that several
    classes list belongs to all of them; the released code credits it to the first one only.

    Args:
        path: the file.
        source: what origins call it; the file's name if empty.

    Raises:
        UserError: it is no such file.
    """
    content = json_of(text_of(path), str(path))
    if not isinstance(content, dict) or not all(
        isinstance(phrases, list) and all(isinstance(one, str) for one in phrases)
        for phrases in content.values()
    ):
        raise UserError(
            f"{path}: found no object of lists of phrases by class, as LaBo's files are"
        )
    said = [(phrase, name) for name, phrases in content.items() for phrase in phrases]
    return _plain(path, list(content), said, source)


def read_table(path: Path, source: str = "") -> ConceptSet:
    """Return the concepts of a .csv with columns ``class`` and ``concept``.

    Args:
        path: the file; other columns are not read.
        source: what origins call it; the file's name if empty.

    Raises:
        UserError: there is no such file or column.
    """
    said = [(row["concept"], row["class"].strip()) for row in rows_of(path, ("class", "concept"))]
    return _plain(path, list(dict.fromkeys(name for _, name in said)), said, source)


def read_lines(path: Path, source: str = "") -> ConceptSet:
    """Return the concepts of a text: ``[class]`` on a line of its own, then one phrase a line.

    Args:
        path: the file; empty lines and lines that start with # are not read.
        source: what origins call it; the file's name if empty.

    Raises:
        UserError: there is no such file, or a phrase before the first class.
    """
    said: list[tuple[str, str]] = []
    classes: list[str] = []
    for number, line in enumerate(text_of(path).splitlines(), 1):
        heading = re.fullmatch(r"\s*\[(.+)\]\s*", line)
        if heading:
            classes.append(heading[1].strip())
        elif line.strip() and not line.lstrip().startswith("#"):
            if not classes:
                raise UserError(f"{path}: line {number}: found a phrase before the first [class]")
            said.append((line, classes[-1]))
    return _plain(path, list(dict.fromkeys(classes)), said, source)


def read_any(path: Path, source: str = "") -> ConceptSet:
    """Return the concepts of a file, whoever wrote it: ours, LaBo's, .csv or .txt.

    Raises:
        UserError: it is none of them.
    """
    if path.suffix == ".csv":
        return read_table(path, source)
    if path.suffix == ".txt":
        return read_lines(path, source)
    if path.suffix != ".json":
        raise UserError(f"{path}: found {path.suffix or 'no ending'!r}, allowed: .json, .csv, .txt")
    content = json_of(text_of(path), str(path))
    ours = isinstance(content, dict) and content.get("format") == FORMAT
    return read(path) if ours else read_labo(path, source)


def rows_of(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Return these columns of a .csv; a cell that is missing is empty.

    Raises:
        UserError: there is no such file or column.
    """
    rows = csv.DictReader(StringIO(text_of(path), newline=""))
    for name in columns:
        if name not in (rows.fieldnames or ()):
            raise UserError(f"{path}: found no column {name!r}, needed are {', '.join(columns)}")
    return [{name: row[name] or "" for name in columns} for row in rows]


def text_of(path: Path) -> str:
    """Return the text of a file.

    Raises:
        UserError: there is none, or it is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise UserError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: found no readable text in UTF-8 ({error})") from error


def json_of(text: str, place: str) -> Any:
    """Return what a JSON text says; a key that stands twice would silently hide the first one.

    Raises:
        UserError: it is no JSON, or a key stands twice.
    """

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            names = [key for key, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise UserError(f"{place}: key {twice!r} stands twice, allowed is once")
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise UserError(f"{place}: not readable as JSON: {error}") from error


def _plain(
    path: Path, classes: Sequence[str], said: Sequence[tuple[str, str]], source: str
) -> ConceptSet:
    name = source or path.name
    return ConceptSet.join(
        path.stem,
        classes,
        [
            Concept(" ".join(text.split()), (owner,), (Provenance(owner, source=name),))
            for text, owner in said
            if text.strip()
        ],
        about=f"imported from {path.name}",
    )


def _origin(file: _ConceptFile, said: _Said, place: str) -> Provenance:
    if not 0 <= said.answer < len(file.answers):
        raise UserError(f"{place}: found answer {said.answer}, there are {len(file.answers)}")
    answer = file.answers[said.answer]
    return Provenance(**answer.model_dump(), sentence=said.sentence)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _lines(rows: Sequence[BaseModel] | Mapping[_Answer, int]) -> str:
    return ",\n".join(f"    {_json(row.model_dump(exclude_defaults=True))}" for row in rows)


def _shipped() -> Any:
    return resources.files("tutelage.concepts") / "shipped"
