"""Shipped packages by cell and stage, and which of them nothing beats."""

import json
from itertools import product

import numpy as np
import pytest

from tests.study.studied import write_study
from tutelage.report.study.devices import device_figure, device_points, device_section
from tutelage.report.study.devices.data import on_front
from tutelage.study.ledger import read_study


def test_the_front_is_what_no_other_beats():
    """Against the definition, on every pair of a grid with ties."""
    places = list(product((1, 2, 3), (0.5, 0.6, 0.7)))
    chosen = np.random.default_rng(0).integers(len(places), size=(50, 5))
    for row in chosen:
        mine = [places[i] for i in row]
        for (cost, quality), best in zip(mine, on_front(mine), strict=True):
            beaten = [
                (c, q) for c, q in mine if (c, q) != (cost, quality) and c <= cost and q >= quality
            ]
            assert best == (not beaten)


@pytest.fixture
def study(tmp_path):
    return read_study(write_study(tmp_path))


def pack(folder, run, flash, macro_f1, file="model.int8.tflite"):
    folder.mkdir(parents=True)
    content = {
        "run": run.fingerprint,
        "files": {
            file: {
                "parity": {"accuracy": 0.9, "macro_f1": macro_f1},
                "cost": {"flash": flash, "arena": {"total": 5000}},
            }
        },
    }
    (folder / "parity.json").write_text(json.dumps(content))


def test_packages_are_matched_by_the_run_they_were_made_from(study):
    cell = study.cells[0]
    stage = study.compared(cell)[0]
    runs = cell.of(stage)
    for number, run in enumerate(runs):
        pack(study.folder / "shipped" / f"p{number}", run, 10_000 + number, 0.8 + 0.01 * number)
    pack(study.folder / "shipped" / "float", runs[0], 1, 1.0, "model.tflite")
    (study.folder / "shipped" / "torn").mkdir()
    (study.folder / "shipped" / "torn" / "parity.json").write_text("{")
    (point, *others) = device_points(study)
    assert not [other for other in others if (other.cell, other.stage) == (cell.name, stage)]
    assert point.values == {run.key: 0.8 + 0.01 * n for n, run in enumerate(runs)}
    assert point.flash == int(np.median([10_000 + n for n in range(len(runs))]))
    assert point.arena == 5000 and point.front


def test_the_figure_has_every_number_in_its_data(study, tmp_path):
    assert device_figure(()) is None and device_section(study) is None
    for place, cell in enumerate(study.cells):
        for stage in study.compared(cell):
            for run in cell.of(stage):
                folder = study.folder / "shipped" / f"{cell.name}-{stage}-{run.fold}-{run.seed}"
                pack(folder, run, 10_000 * (place + 1), 0.7 + 0.05 * place)
    points = device_points(study)
    drawn = device_figure(points, png=tmp_path / "front.png")
    assert drawn is not None and (tmp_path / "front.png").stat().st_size > 5000
    section = device_section(study)
    assert section is not None and len(section.tables[0].rows) == len(points)
    rows = [line.split(",") for line in drawn.data.splitlines()[1:]]
    assert sum(row[4] == "mean" for row in rows) == len(points)
    assert sum(row[4].startswith("fold") for row in rows) == sum(len(p.values) for p in points)
    for point in points:
        assert point.cell in drawn.data and point.cell in drawn.svg
