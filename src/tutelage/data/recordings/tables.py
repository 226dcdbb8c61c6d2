"""Tables read in chunks: CSV by pandas; Parquet, Arrow and frames of others by pyarrow."""

import csv
import gzip
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from tutelage.data.guard import regular
from tutelage.errors import UserError, library, near, one_line, quoted

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 16  # of one chunk
_HEAD = 1 << 16  # bytes that tell what a file is
_TEXTS = (".csv", ".tsv", ".txt", ".csv.gz", ".tsv.gz", ".txt.gz")
_ARROWS = (".parquet", ".pq", ".arrow", ".feather", ".ipc")
SUFFIXES = (*_TEXTS, *_ARROWS)
_MAGIC = {b"PK": "a .zip or .xlsx file", b"\x1f\x8b": "a gzip archive without .gz", b"PAR1": "a Parquet file",
          b"ARROW1": "an Arrow file", b"%PDF": "a PDF", b"\x89PNG": "a picture",
          b"\xd0\xcf\x11\xe0": "an .xls file",
          b"\x89HDF": "an HDF5 file", b"<": "a page or XML", b"{": "JSON"}  # fmt: skip
_REST = "\0rest"  # what stands in a line behind its last column
_TOO_MANY = re.compile(r"in line (\d+), saw (\d+)")  # what pandas says
_NO_VALUE = ["", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>", "n/a"]


@runtime_checkable
class Frame(Protocol):
    """A table in memory: of pandas, polars, or whatever speaks Arrow's stream interface."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Return the table as a stream of record batches."""
        ...


@dataclass(frozen=True)
class Chunk:
    """Rows of a table that follow each other.

    Args:
        frame: pandas DataFrame of the columns that are needed.
        source: what a sentence calls the table.
        first: line of the first row in a text file, or its number in another table.
        word: ``line`` or ``row``.
    """

    frame: "pd.DataFrame"
    source: str
    first: int
    word: str

    def place(self, row: int) -> str:
        """Return where a row of the chunk stands, for sentences."""
        return f"{self.source}: {self.word} {self.first + row}"


@dataclass(frozen=True)
class TextForm:
    """How text files are written.

    Args:
        separator: between fields; None: what the first line has most of.
        decimal: the decimal mark.
        skip: lines before the header.
        columns: names where the files have no header.
    """

    separator: str | None = None
    decimal: str = "."
    skip: int = 0
    columns: tuple[str, ...] = ()


class TextTable:
    """A CSV file."""

    word = "line"

    def __init__(self, path: Path, form: TextForm) -> None:
        self.source, self.path, self.form = str(path), path, form
        self._separator, self.columns = self._header()

    def _header(self) -> tuple[str, list[str]]:
        """Return the separator and the names of the columns."""
        lines = _first_lines(self.path)[self.form.skip :]
        if not lines:
            raise UserError(
                f"{self.source}: found no line after {self.form.skip}, allowed is a table"
            )
        separator = self.form.separator or max(",;\t|", key=lines[0].count)
        names = list(self.form.columns)
        if not names:
            names = [name.strip() for name in next(csv.reader([lines[0]], delimiter=separator))]
        place = f"{self.source}: line {self.form.skip + 1}"
        if not self.form.columns and all(map(_is_number, names)):
            raise UserError(
                f"{place}: found numbers where the names of columns stand; name them with columns: [...]"
            )
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(
                f"{place}: found column {quoted(twice)} twice, allowed is one of each name"
            )
        return separator, names

    def chunks(self, columns: list[str], texts: list[str]) -> Iterator[Chunk]:
        """Yield the rows; of the columns, ``texts`` are read as they are written.

        Raises:
            UserError: a line that does not fit, with its number.
        """
        import pandas as pd

        first = self.form.skip + (1 if self.form.columns else 2)
        try:
            with pd.read_csv(
                self.path, sep=self._separator, decimal=self.form.decimal, names=[*self.columns, _REST],
                skiprows=first - 1, header=None, index_col=False,
                dtype=dict.fromkeys([*texts, _REST], str), chunksize=ROWS, skip_blank_lines=False,
                encoding="utf-8-sig",
                na_values=_NO_VALUE, keep_default_na=False, skipinitialspace=True, low_memory=False,
            ) as reader:  # fmt: skip
                for frame in reader:
                    chunk = Chunk(frame, self.source, first, self.word)
                    self._refuse_rest(chunk)
                    yield replace(chunk, frame=frame[columns])
                    first += len(frame)
        except UnicodeDecodeError as error:
            raise UserError(
                f"{self.source}: found bytes that are no UTF-8 ({error.reason})"
            ) from error
        except (pd.errors.ParserError, pd.errors.EmptyDataError, EOFError, OSError) as error:
            raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> UserError:
        fields = _TOO_MANY.search(str(error))
        if fields:
            return self._too_many(f"{self.source}: line {fields[1]}", fields[2])
        return UserError(f"{self.source}: found no readable CSV ({one_line(error)})")

    def _too_many(self, place: str, found: object) -> UserError:
        return UserError(
            f"{place}: found {found} fields, allowed are {len(self.columns)}, as many as there are columns; is "
            f"{quoted(self._separator)} the separator?"
        )

    def _refuse_rest(self, chunk: Chunk) -> None:
        """Refuse lines with more fields than there are columns; pandas would leave them out."""
        more = chunk.frame[_REST].notna().to_numpy()
        if more.any():
            row = int(more.argmax())
            raise self._too_many(chunk.place(row), len(self.columns) + 1)


class ArrowTable:
    """A Parquet or Arrow file, or a frame in memory.

    Args:
        source: what a sentence calls it.
        columns: their names.
        batches: yields record batches that hold at least the named columns.
    """

    word = "row"

    def __init__(
        self, source: str, columns: list[str], batches: Callable[[list[str]], Iterator[Any]]
    ) -> None:
        self.source, self.columns, self._batches = source, columns, batches

    def chunks(self, columns: list[str], texts: list[str]) -> Iterator[Chunk]:
        """Yield the rows; ``texts`` need no care, because a table knows its types."""
        first = 0
        with _arrow_sentence(self.source):
            for batch in self._batches(columns):
                for start in range(0, batch.num_rows, ROWS):
                    frame = batch.select(columns).slice(start, ROWS).to_pandas()
                    yield Chunk(frame, self.source, first, self.word)
                    first += len(frame)


def _parquet(path: Path) -> ArrowTable:
    parquet = library("pyarrow.parquet", f"{path}:", "tables")

    def batches(columns: list[str]) -> Iterator[Any]:
        with parquet.ParquetFile(path, memory_map=True) as file:
            yield from file.iter_batches(ROWS, columns=columns)

    with _arrow_sentence(str(path)):
        return ArrowTable(str(path), list(parquet.read_schema(regular(path)).names), batches)


def _arrow_file(path: Path) -> ArrowTable:
    arrow = library("pyarrow", f"{path}:", "tables")

    def batches(columns: list[str]) -> Iterator[Any]:
        with arrow.ipc.open_file(arrow.memory_map(str(path))) as file:
            for number in range(file.num_record_batches):
                yield file.get_batch(number)

    with (
        _arrow_sentence(str(path)),
        arrow.ipc.open_file(arrow.memory_map(str(regular(path)))) as file,
    ):
        return ArrowTable(str(path), list(file.schema.names), batches)


def _stream(frame: Frame, source: str) -> ArrowTable:
    reader = library("pyarrow", "a frame", "tables").RecordBatchReader
    names = list(reader.from_stream(frame).schema.names)
    return ArrowTable(source, names, lambda _: iter(reader.from_stream(frame)))


@contextmanager
def _arrow_sentence(source: str) -> Iterator[None]:
    """Tell what pyarrow says of a damaged file as one sentence."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        raise UserError(f"{source}: found no readable table ({one_line(error)})") from error


class PandasTable:
    """A pandas DataFrame; it needs no pyarrow."""

    word = "row"

    def __init__(self, frame: "pd.DataFrame", source: str) -> None:
        self.source, self._frame = source, frame
        self.columns = [str(name) for name in frame.columns]

    def chunks(self, columns: list[str], texts: list[str]) -> Iterator[Chunk]:
        """Yield the rows."""
        named = self._frame.set_axis(self.columns, axis=1)[columns]
        for start in range(0, len(named), ROWS):
            yield Chunk(named.iloc[start : start + ROWS], self.source, start, self.word)


Table = TextTable | ArrowTable | PandasTable


def table_of(content: Path | Frame, form: TextForm, source: str = "the frame") -> Table:
    """Return a table that is not read yet.

    Args:
        content: a file, whose name says of what kind it is, or a frame.
        form: how text files are written.
        source: what sentences call a frame.

    Raises:
        UserError: the kind is not read, or the content is of another kind.
    """
    if not isinstance(content, Path):
        import pandas as pd

        if isinstance(content, pd.DataFrame):
            return PandasTable(content, source)
        return _stream(content, source)
    if content.name.lower().endswith(_TEXTS):
        return TextTable(content, form)
    if content.suffix.lower() in (".parquet", ".pq"):
        return _parquet(content)
    if content.suffix.lower() in _ARROWS:
        return _arrow_file(content)
    raise UserError(f"{content}: found a file of another kind, allowed are {', '.join(SUFFIXES)}")


def refuse_missing(table: Table, columns: list[str], place: str) -> None:
    """Refuse a table without one of these columns.

    Raises:
        UserError: the sentence has the near name.
    """
    for name in columns:
        if name not in table.columns:
            where = (
                f"{table.source}: line {table.form.skip + 1}"
                if isinstance(table, TextTable)
                else table.source
            )
            there = ", ".join(map(quoted, table.columns[:20]))
            raise UserError(f"{where}: found no column {quoted(name)} ({place}){near(name, table.columns)} "
                            f"(there: {there})")  # fmt: skip


def _first_lines(path: Path) -> list[str]:
    """Return the first lines of a text file.

    Raises:
        UserError: it is no text.
    """
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(regular(path), "rb") as file:
            head = file.read(_HEAD)
    except (OSError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({one_line(error)})") from error
    kind = next((name for magic, name in _MAGIC.items() if head.startswith(magic)), None)
    kind = kind or ("bytes that are no text" if b"\0" in head else None)
    if kind or not head.strip():
        raise UserError(f"{path}: line 1: found {kind or 'nothing'}, allowed is CSV")
    return head.decode("utf-8-sig", errors="replace").splitlines()


def comma_advice(text: object) -> str:
    """Return what to do where a number seems to have a decimal comma."""
    plain = str(text).strip().lstrip("-").replace(",", ".", 1).replace(".", "", 1)
    return (
        "; is the comma a decimal mark? (decimal: ',')"
        if "," in str(text) and plain.isdigit()
        else ""
    )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
