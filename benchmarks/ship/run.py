"""Every student of the ship study as device files: what int8 loses, what it costs, what simulated int8 gains.

python -m benchmarks.ship.run --runs runs

The study is ``recipes/hapt/studies/ship.yaml`` (``tutelage study run`` trains it); the tools are those of
``tutelage[edge]``. What was shipped already is not shipped again; results are written of what is complete.
"""

import argparse
import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import machine
from benchmarks.ship.results import METHODS, summary
from tutelage.export.choosing import ShippedRun
from tutelage.export.models import LiteModel
from tutelage.export.package import ReferenceWindows, write_package
from tutelage.export.source import evidence_of
from tutelage.report.study.devices import device_figure, device_points
from tutelage.runs.run import Run
from tutelage.study.ledger import StudyCell, StudyLedger, read_study

HERE = Path(__file__).parent
IMAGE = HERE.parents[1] / "docs" / "images" / "ship-flash.png"
LITE = "model.int8.tflite"


def jobs(study: StudyLedger) -> Iterator[tuple[StudyCell, str, Run]]:
    """Yield every complete run, one of each cell and stage before the next seed."""
    found = [
        (run.seed, run.fold, place, cell, stage, run)
        for place, cell in enumerate(study.cells)
        for stage in METHODS
        for run in cell.of(stage)
    ]
    for _, _, _, cell, stage, run in sorted(found, key=lambda each: each[:3]):
        yield cell, stage, run


def ship(study: StudyLedger, cell: StudyCell, stage: str, run: Run) -> None:
    """Ship a run, and note how each test subject fared; the first of a cell and stage in all int8 formats."""
    name = f"{cell.name}-{stage}-{run.fold}-{run.seed}"
    folder, row = study.folder / "shipped" / name, study.folder / "shipped" / f"{name}.row.json"
    if row.exists():
        return
    assert cell.experiment is not None
    source = ShippedRun(cell.experiment, run, cell.of(stage))
    network, facts, evidence = evidence_of(source, None)
    first = run.key == cell.of(stage)[0].key
    formats = ("onnx-int8", "tflite-int8") if first else ("tflite-int8",)
    shipped = write_package(
        network,
        facts,
        evidence,
        folder,
        lambda _: "",
        formats=formats,
        accept_loss=True,
        force=True,
    )
    parity, cost = shipped.parity[LITE], shipped.cost[LITE]
    said = LiteModel(folder / LITE).logits(evidence.windows)
    scale = shipped.facts.quantisation.output_scale if shipped.facts.quantisation else 1.0
    onnx = shipped.parity.get("model.int8.onnx")
    content = {
        "size": cell.name, "method": stage, "fold": run.fold, "seed": run.seed,
        "parameters": facts.parameters, "flash": cost.flash,
        "arena": cost.arena.total if cost.arena else None,
        "run_accuracy": parity.accuracy - parity.accuracy_difference, "file_accuracy": parity.accuracy,
        "run_macro_f1": parity.macro_f1 - parity.macro_f1_difference, "file_macro_f1": parity.macro_f1,
        "equal": parity.equal, "steps": parity.largest / scale, **cost.milliseconds,
        "onnxruntime": shipped.cost["model.int8.onnx"].milliseconds["onnxruntime"] if onnx else None,
        "onnx_macro_f1_difference": onnx.macro_f1_difference if onnx else None,
        "subjects": subjects(evidence, said),
    }  # fmt: skip
    row.write_text(json.dumps(content) + "\n")
    print(name, f"{100 * parity.macro_f1_difference:+.2f} points, {cost.flash} bytes", flush=True)


def subjects(evidence: ReferenceWindows, said: Any) -> dict[str, list[float]]:
    """Return subject -> windows, accuracy of the file, accuracy of the run."""
    people = np.asarray(evidence.subjects)
    found = {}
    for one in np.unique(people):
        mine = people == one
        right = [
            float((scores[mine].argmax(1) == evidence.labels[mine]).mean())
            for scores in (said, evidence.logits)
        ]
        found[str(one)] = [int(mine.sum()), *right]
    return found


def write_results(study: StudyLedger) -> None:
    """Write table, sentences, raw rows and the figure of what is there."""
    paths = sorted((study.folder / "shipped").glob("*.row.json"))
    rows = [json.loads(path.read_text()) for path in paths]
    if not rows:
        return
    columns = [key for key in rows[0] if key != "subjects"]
    with (HERE / "results.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    drawn = device_figure(device_points(study), png=IMAGE)
    if drawn is not None:
        (HERE / "flash.csv").write_text(drawn.data)
    facts = {"machine": machine(), "rows": rows}
    (HERE / "results.json").write_text(json.dumps(facts, indent=1) + "\n")
    lines = [
        "`tutelage study run recipes/hapt/studies/ship.yaml --name hapt-ship`, then "
        "`python -m benchmarks.ship.run`",
        "",
        *summary(rows),
        "",
    ]
    lines.append("Machine: " + ", ".join(f"{k} {v}" for k, v in facts["machine"].items()) + ".")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--study", default="hapt-ship")
    parser.add_argument("--results", action="store_true", help="only write what is there")
    found = parser.parse_args(arguments)
    study = read_study(found.runs / found.study)
    (study.folder / "shipped").mkdir(exist_ok=True)
    for cell, stage, run in () if found.results else jobs(study):
        ship(study, cell, stage, run)
    write_results(study)


if __name__ == "__main__":
    main()
