"""JSON of a run folder read into frozen records and written from them: one definition serves both sides.

Reading is strict: a wrong type, a missing key or a value out of range is refused with one sentence that names file
and field. Keys that a record does not define are not read, so that this version reads what a later one wrote;
``run.json`` keeps them and hands them on (:class:`~tutelage.runs.records.RunRecord`).
"""

import json
import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    TypeAdapter,
    ValidationError,
)

from tutelage.errors import UserError
from tutelage.files import replacing

T = TypeVar("T")


class UnreadableError(UserError):
    """A file is cut, or a field of it is missing or wrong: that run is a hole, the others stand."""


SHOWN = 80
"""Characters of a wrong value that a sentence quotes."""


def _as_text(value: object) -> object:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _as_number(value: str) -> str | int:
    """Write the name of a numbered fold as it was given: as a number."""
    return int(value) if value.isdecimal() and str(int(value)) == value else value


def _none_named(value: object) -> object:
    return () if value is None else tuple(value) if isinstance(value, list) else value


def _undefined(value: object) -> object:
    return None if isinstance(value, float) and math.isnan(value) else value


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_time(value: str) -> str:
    datetime.fromisoformat(value)
    return value


Name = Annotated[str, BeforeValidator(_as_text)]
FoldName = Annotated[Name, PlainSerializer(_as_number)]
Names = Annotated[tuple[Name, ...], BeforeValidator(_none_named)]
Fraction = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Score = Annotated[Fraction | None, BeforeValidator(_undefined)]
Finite = Annotated[float | None, BeforeValidator(_finite)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
Schema = Literal[1]
Time = Annotated[str, AfterValidator(_is_time)]
"""A moment as ISO text, with its time zone."""


def parse(adapter: TypeAdapter[T], text: str | bytes, where: str) -> T:
    """Read JSON into its record.

    Raises:
        UnreadableError: file, field, what was found and what is allowed, in one sentence.
    """
    try:
        return adapter.validate_json(text, strict=True)
    except ValidationError as error:
        raise UnreadableError(_sentence(error, where)) from None


def _sentence(error: ValidationError, where: str) -> str:
    first = error.errors(include_url=False, include_context=False)[0]
    where = ": ".join(filter(None, (where, ".".join(str(part) for part in first["loc"]))))
    if first["type"] == "json_invalid" and not first["input"].strip():
        return f"{where}: the file is empty"
    if first["type"] in {"missing", "json_invalid"}:
        return f"{where}: {first['msg']}"
    quoted = repr(first["input"])
    return (
        f"{where}: {first['msg']}, found {quoted if len(quoted) <= SHOWN else quoted[:SHOWN] + '…'}"
    )


def read(adapter: TypeAdapter[T], path: Path) -> T:
    """Read a JSON file into its record.

    Raises:
        UnreadableError: the file cannot be read, or is none of this record.
    """
    return parse(adapter, content_of(path), str(path))


def content_of(path: Path) -> bytes:
    """Return the bytes of a file.

    Raises:
        UnreadableError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableError(f"{path}: cannot be read ({error.strerror or error})") from None


def read_lines(adapter: TypeAdapter[T], path: Path) -> tuple[T, ...]:
    """Read a file of one record per line; nothing where there is none.

    Raises:
        UnreadableError: a line is none of this record.
    """
    if not path.is_file():
        return ()
    lines = content_of(path).splitlines()
    return tuple(
        parse(adapter, line, f"{path}:{number}") for number, line in enumerate(lines, 1) if line.strip()
    )  # fmt: skip


def write(adapter: TypeAdapter[T], path: Path, content: T | Mapping[str, Any]) -> None:
    """Write a record, or what reads as one, so that the file is there whole or not at all.

    Raises:
        UnreadableError: the content is not what a reader would accept.
    """
    plain = content if isinstance(content, Mapping) else adapter.dump_python(content, mode="json")
    text = json.dumps(plain, indent=1, allow_nan=False) + "\n"
    parse(adapter, text, str(path))
    with replacing(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def append(adapter: TypeAdapter[T], path: Path, row: Mapping[str, Any]) -> None:
    """Add one line to a log."""
    line = json.dumps(row, allow_nan=False)
    parse(adapter, line, str(path))
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
