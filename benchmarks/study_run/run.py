"""A study of 63 runs on real data: estimated, run unattended and killed three times; its time and the estimate.

python -m benchmarks.study_run.run --runs FOLDER
"""

import argparse
import json
import shutil
import signal
import statistics
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

from benchmarks.common import write
from tutelage.cli.progress import duration
from tutelage.execution.estimation import Estimate, estimate
from tutelage.execution.listener import Quiet
from tutelage.execution.workers import RunConfig
from tutelage.study.file import load_study
from tutelage.study.run import plan_study
from tutelage.study.status import status_of

HERE = Path(__file__).parent
STUDY = HERE.parents[1] / "recipes" / "hapt" / "studies" / "methods.yaml"
SAID = {
    "table": ["table.md"],
    "compare": ["comparison.md", "comparison.png"],
    "audit": ["audit.md"],
}
SHARES = (0.2, 0.5, 0.8)  # of the runs that are complete when the command is killed


def records(folder: Path) -> dict[Path, dict[str, Any]]:
    """Return the records of all runs of a study."""
    return {path.parent: json.loads(path.read_text()) for path in folder.glob("*/*/*/*/run.json")}


def complete(folder: Path) -> dict[Path, str]:
    """Return when each complete run was finished."""
    return {p: r["finished"] for p, r in records(folder).items() if r["status"] == "complete"}


def sitting(command: list[str], folder: Path, until: int) -> dict[str, Any]:
    """Run the study until so many runs are complete, then kill it with SIGKILL; or to its end."""
    before, started = complete(folder), time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(complete(folder)) < until:
            time.sleep(0.2)
        ended = process.poll()
        if ended is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
    after = complete(folder)
    assert before.items() <= after.items(), "a complete run was touched"
    return {
        "seconds": time.perf_counter() - started,
        "before": len(before),
        "after": len(after),
        "exit": "killed" if ended is None else ended,
        "counts": dict(status_of(folder).counts),
    }


def real_seconds(folder: Path) -> dict[str, float]:
    """Return the median seconds of a run from beginning to end, by cell and stage."""
    walls: dict[str, list[float]] = {}
    for path, record in records(folder).items():
        began, ended = (datetime.fromisoformat(record[key]) for key in ("started", "finished"))
        cell = path.relative_to(folder).parts[0]
        walls.setdefault(f"{cell}: {record['stage']}", []).append((ended - began).total_seconds())
    return {name: statistics.median(values) for name, values in walls.items()}


def by_kind(found: Estimate) -> dict[str, float | None]:
    """Return the estimated seconds of a run by cell and stage."""
    return {
        f"{cell}: {stage}": kind.seconds
        for kind in found.kinds
        for cell in kind.cells.split(", ")
        for stage in kind.stages.split(", ")
    }


def tell(folder: Path) -> None:
    """Write what the study says, and whether it may be believed, beside the results."""
    out = (folder / "said").resolve()
    for command, files in SAID.items():
        told = [
            sys.executable,
            "-m",
            "tutelage.cli.root",
            "study",
            command,
            folder.name,
            "--out",
            str(out),
        ]
        # Only what goes wrong is of interest here, and the audit must find nothing.
        subprocess.run(told, cwd=folder.parent, stdout=subprocess.DEVNULL, check=True)
        for name in files:
            shutil.copy(out / name, HERE / name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--runs", type=Path, required=True, help="an empty folder; or that of a finished study"
    )
    parser.add_argument("--jobs", type=int, default=0)
    parser.add_argument("overrides", nargs="*", help="of the study, for a quick try")
    options = parser.parse_args()
    study = load_study(STUDY, options.overrides)
    folder = options.runs / study.name
    if (folder / "study.json").is_file() and set(status_of(folder).counts) == {"done"}:
        tell(folder)  # the runs are there: only what they say is made again
        return
    began = time.perf_counter()
    planned = plan_study(study, RunConfig(options.runs, None, "cpu", options.jobs), Quiet())
    spent = time.perf_counter() - began
    found = estimate(planned, Quiet(), well=True, spent=spent)
    planning = time.perf_counter() - began
    assert found.found == 0, "the folder of the runs must be empty"
    command = [
        sys.executable, "-m", "tutelage.cli.root", "study", "run", str(STUDY), *options.overrides,
        "--runs", str(options.runs), "--device", "cpu", "--jobs", str(options.jobs),
        "--way", "processes",
    ]  # fmt: skip
    stops = [*(round(share * found.missing) for share in SHARES), found.missing + 1]
    sittings = [sitting(command, folder, stop) for stop in stops]
    total = sum(one["seconds"] for one in sittings)
    real, guessed = real_seconds(folder), by_kind(found)
    counts = status_of(folder).counts
    tell(folder)
    prints = [record["fingerprint"] for record in records(folder).values()]
    assert len(set(prints)) == len(prints), "a run was trained twice"
    result = {
        "estimate": {
            "seconds": found.seconds, "measuring": planning, "asked": found.asked,
            "shared": found.shared, "runs": found.missing, "side by side": found.size,
            "disk": found.disk, "memory": found.memory,
        },
        "sittings": sittings, "seconds": total, "counts": dict(counts),
        "written": sum(path.stat().st_size for path in options.runs.rglob("*") if path.is_file()),
        "kinds": {name: [guessed.get(name), seconds] for name, seconds in real.items()},
        "estimated": f"{duration(found.seconds)} (measured for {duration(planning)})",
        "real": f"{duration(total)} in {len(sittings)} sittings, three of them ended by SIGKILL",
        "real / estimated": f"{total / found.seconds:.2f}",
        "runs": f"{counts['done']} of {found.missing} complete, none twice, none touched after it was done",
    }  # fmt: skip
    rows = [["", "estimated", "real"], ["whole study, s", f"{found.seconds:.0f}", f"{total:.0f}"]]
    for number, one in enumerate(sittings, 1):
        what = f"sitting {number}: {one['before']} to {one['after']} runs, {one['exit']}"
        rows.append([what, "", f"{one['seconds']:.0f}"])
    for name, (guess, seconds) in result["kinds"].items():  # type: ignore[attr-defined]
        rows.append(
            [f"a run of {name}, s", "" if guess is None else f"{guess:.1f}", f"{seconds:.0f}"]
        )
    rows.append(["disk, MB", f"{found.disk / 1e6:.0f}", f"{result['written'] / 1e6:.0f}"])  # type: ignore[operator]
    write(HERE, "python -m benchmarks.study_run.run --runs FOLDER", result, rows)


if __name__ == "__main__":
    main()
