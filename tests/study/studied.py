"""Writes the folder of a study whose cells look like real experiments."""

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

from tests.report.fake import Fake, write

LADDER = Fake(windows=20, epochs=3, stages=("sig", "alone", "base", "annsp"), shared=("alone",))
AXES = {"teachers": ("16-1", "16-3"), "weight": ("low", "high")}


def write_study(folder: Path, cells=None, axes=None, started=None, table=None, base=LADDER) -> Path:
    """Write ``study.json`` and one experiment per cell.

    Args:
        folder: of the study.
        cells: name of a cell -> changes to the fake.
        axes: axis -> values.
        started: names of the cells that were begun; all unless told.
        table: key of the study file.
        base: every cell, before its changes.
    """
    axes = axes or AXES
    changes = cells or {}
    listed = []
    for values in product(*axes.values()):
        name = "_".join(values)
        listed.append({"name": name, "at": dict(zip(axes, values, strict=True)), "path": name})
        if started is None or name in started:
            write(folder / name, replace(base, **({"variant": name} | changes.get(name, {}))))
    record = {
        "schema": 1, "name": "hapt-ladder", "title": "The ladder", "cells": listed,
        "axes": {axis: list(values) for axis, values in axes.items()},
        "resolved": {"table": table or {}}, "code": {"version": "0.1.0"},
    }  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "study.json").write_text(json.dumps(record))
    return folder


def share(folder: Path, cell: str, other: str, stage: str) -> None:
    """Let a cell point to the runs of another, as the engine does where both ask for the same."""
    path = folder / cell / "experiment.json"
    content = json.loads(path.read_text())
    for entry in content["runs"]:
        if entry["stage"] == stage:
            entry["path"] = f"../{other}/{entry['path']}"
    path.write_text(json.dumps(content))
