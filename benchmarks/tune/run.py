"""Two searches on real data: the weight and temperature of KD, and the weights of three teachers.

python -m benchmarks.tune.run

Both are study files of ``recipes/hapt/studies``. What is complete is not repeated, so a benchmark that was stopped
goes on with the same command.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks.common import machine
from tutelage.execution.workers import RunConfig
from tutelage.report.study.tuning import paragraph, write_tuning
from tutelage.study.file import load_study
from tutelage.study.tune import Tuning, plateau, reach, read_tuning, tune

STUDIES = ("tune-kd", "simplex")
HERE = Path(__file__).parent


def facts(tuning: Tuning) -> dict[str, Any]:
    found = plateau(tuning)
    assert found is not None and tuning.best is not None
    return {
        "settings": len(tuning.settings),
        "complete": len(tuning.complete),
        "stopped early": sum(one.state == "stopped early" for one in tuning.settings),
        "minutes of training": tuning.minutes,
        "best": tuning.best.values,
        "value in the search": tuning.best.value,
        "value with fresh seeds": found.reference,
        "sd over seeds": found.sd,
        "runs behind the sd": found.n,
        "margin": found.margin,
        "on the plateau": [one.number for one in found.inside],
        "plateau": {
            one.place: [one.low, one.high]
            for axis in tuning.axes
            if axis.kind != "choice"
            for one in reach(tuning, found, axis)
        },
        "all": [
            {"setting": one.number, "state": one.state, "value": one.value, **one.values}
            for one in tuning.settings
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=Path, default=Path("runs/.bench/tune"))
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    lines = ["`python -m benchmarks.tune.run`", ""]
    results: dict[str, Any] = {"machine": machine()}
    for name in STUDIES:
        study = load_study(Path(f"recipes/hapt/studies/{name}.yaml"))
        folder = tune(study, RunConfig(arguments.runs, None, arguments.device), tell=print)
        write_tuning(folder)
        tuning = read_tuning(folder)
        found = plateau(tuning)
        assert found is not None
        results[name] = facts(tuning)
        lines += [f"## {tuning.title}", "", f"`recipes/hapt/studies/{name}.yaml`", ""]
        lines += [paragraph(tuning, found), ""]
        for picture in sorted((folder / "tune").glob("*.png")):
            # One triangle says more than three panels of the same settings.
            if picture.stem == "settings" and any(len(axis.parts) == 3 for axis in tuning.axes):
                continue
            shutil.copyfile(picture, HERE / f"{name}-{picture.name}")
            lines += [f"![{picture.stem}]({name}-{picture.name})", ""]
    lines.append("Machine: " + ", ".join(f"{k} {v}" for k, v in results["machine"].items()) + ".")
    (HERE / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
