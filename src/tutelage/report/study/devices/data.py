"""Shipped packages of a study, gathered by cell and stage."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ValidationError

from tutelage.checkpoint import read_json
from tutelage.errors import UserError
from tutelage.statistics.paired import Interval, paired_difference
from tutelage.study.ledger import StudyLedger

__all__ = ["INT8", "DevicePoint", "device_points", "on_front"]

INT8 = "model.int8.tflite"
Metric = Literal["accuracy", "macro_f1"]


@dataclass(frozen=True)
class DevicePoint:
    """The int8 files of one stage of one cell.

    Args:
        cell: name.
        stage: name.
        flash: median size of a file, bytes.
        arena: median RAM in the microcontroller's interpreter, bytes; None where it was not measured.
        values: (fold, seed) -> quality of the file on the test subjects of its run, in [0, 1].
        mean: over folds of the mean over seeds.
        again: 95 % interval of the mean for these folds, trained again; None where no fold has two seeds.
        front: nothing else is as good with less flash, or better with as much.
    """

    cell: str
    stage: str
    flash: int
    arena: int | None
    values: Mapping[tuple[str, int], float]
    mean: float
    again: Interval | None
    front: bool = False


class _Parity(BaseModel):
    accuracy: float
    macro_f1: float


class _Arena(BaseModel):
    total: int


class _Cost(BaseModel):
    flash: int
    arena: _Arena | None = None


class _File(BaseModel):
    parity: _Parity
    cost: _Cost


class _Package(BaseModel):
    run: str
    files: dict[str, _File]


def device_points(
    study: StudyLedger, packages: Iterable[Path] | None = None, metric: Metric = "macro_f1"
) -> tuple[DevicePoint, ...]:
    """Return the shipped students of a study, smallest first; a package that cannot be read is left out.

    Args:
        study: whose runs were shipped.
        packages: folders of ``tutelage ship``; those below ``shipped`` in the study's folder unless given.
        metric: what is shown of a file.
    """
    folders = sorted((study.folder / "shipped").glob("*")) if packages is None else packages
    files = dict(found for found in map(_read, folders) if found is not None)
    points = []
    for cell in study.cells:
        for stage in study.compared(cell):
            mine = {
                run.key: files[run.fingerprint]
                for run in cell.of(stage)
                if run.fingerprint in files
            }
            if mine:
                points.append(_point(cell.name, stage, mine, metric))
    front = on_front([(point.flash, point.mean) for point in points])
    marked = [replace(point, front=best) for point, best in zip(points, front, strict=True)]
    return tuple(sorted(marked, key=lambda point: (point.flash, -point.mean)))


def on_front(places: Sequence[tuple[float, float]]) -> list[bool]:
    """Return of pairs (cost, quality) whether no other is as good for less, or better for no more."""
    return [
        not any(
            (other <= cost and better > quality) or (other < cost and better >= quality)
            for other, better in places
        )
        for cost, quality in places
    ]


def _read(folder: Path) -> tuple[str, _File] | None:
    """Return the fingerprint of a package's run and what is known of its int8 file."""
    try:
        package = _Package.model_validate(read_json(folder / "parity.json"))
    except (OSError, UserError, ValidationError, ValueError):
        return None
    return (package.run, package.files[INT8]) if INT8 in package.files else None


def _point(
    cell: str, stage: str, files: Mapping[tuple[str, int], _File], metric: Metric
) -> DevicePoint:
    values = {
        key: file.parity.accuracy if metric == "accuracy" else file.parity.macro_f1
        for key, file in files.items()
    }
    spread = paired_difference(values, dict.fromkeys(values, 0.0))
    arenas = [file.cost.arena.total for file in files.values() if file.cost.arena is not None]
    return DevicePoint(
        cell, stage, int(np.median([file.cost.flash for file in files.values()])),
        int(np.median(arenas)) if arenas else None, values, spread.mean, spread.again,
    )  # fmt: skip
