"""Every claim of files and folders, and the flat table of them."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

from tutelage.audit.imports.claim import Claim, flat
from tutelage.audit.imports.files import SEPARATED, SHEETS, grids
from tutelage.audit.imports.logs import TEXTS, logged, named
from tutelage.audit.imports.names import metrics_in
from tutelage.audit.imports.tables import claims_of
from tutelage.errors import UserError
from tutelage.inert import csv_text

MOST_CLAIMS = 50_000
"""Results of one audit; the largest tables of papers have some thousands."""


def read_claims(paths: Sequence[Path], means: Mapping[str, str] | None = None) -> list[Claim]:
    """Read what files claim; of a folder all files below it.

    Args:
        paths: spreadsheets, separated values, logs, any file whose name tells a result, or folders of them.
        means: what an ambiguous setting stands for: ``{"alpha": "weight.sig"}``.

    Raises:
        UserError: a file does not exist or cannot be read, or nothing in it is a result.
    """
    claims: list[Claim] = []
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder")
        files = (
            sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        )
        for file in files:
            claims += islice(_claims(file), MOST_CLAIMS + 1 - len(claims))
            if len(claims) > MOST_CLAIMS:
                raise UserError(
                    f"{file}: here the number of results exceeds {MOST_CLAIMS:,}, which is data, no table; "
                    "name the tables alone"
                )
    if not claims:
        raise UserError(f"{', '.join(map(str, paths))}: found no result in any table, log or name")
    return [_meant(claim, means or {}) for claim in claims]


def write_claims(claims: Iterable[Claim], path: Path) -> None:
    """Write the flat table: one row per claim, one column per setting; ``.json`` or ``.csv``."""
    rows = [flat(claim) for claim in claims]
    if path.suffix == ".json":
        path.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return
    if path.suffix != ".csv":
        raise UserError(f"{path}: found {path.suffix or 'no ending'!r}; allowed: .csv, .json")
    columns = list(dict.fromkeys(key for row in rows for key in row))
    columns.sort(key=("text", "place").__contains__)
    cells = ([row.get(key, "") for key in columns] for row in rows)
    path.write_text(csv_text(columns, cells), encoding="utf-8")


def _claims(path: Path) -> Iterator[Claim]:
    ending = path.suffix.lower()
    if ending in SHEETS or ending in SEPARATED:
        for grid in grids(path):
            yield from claims_of(grid)
        return
    inside = list(logged(path)) if ending in TEXTS else []
    yield from inside or (named(path) if metrics_in(path.stem) else ())


def _meant(claim: Claim, means: Mapping[str, str]) -> Claim:
    if not set(means) & set(claim.settings):
        return claim
    told = {means.get(key, key): value for key, value in claim.settings.items()}
    stated = {means.get(key, key): value for key, value in claim.stated.items()}
    return replace(claim, settings=told, stated=stated)
