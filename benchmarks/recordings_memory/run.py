"""How much memory recordings take: python -m benchmarks.recordings_memory.run --gigabytes 2."""

import argparse
import json
import shutil
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from tutelage.data import Recordings

CHANNELS = ("ax", "ay", "az", "gx", "gy", "gz")
ROWS = 500_000  # of one block of the file: 2.8 hours at 50 Hz


def write(path, size):
    """Write one CSV file of six channels at 50 Hz, ten people, six activities in turn."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(ROWS, 6))
    lines = [",".join(f"{value:.6f}" for value in row) for row in values]
    labels = [("walk", "sit", "stand", "lie", "climb", "run")[i // 3000 % 6] for i in range(ROWS)]
    with path.open("w") as file:
        file.write("t," + ",".join(CHANNELS) + ",activity,who\n")
        block = 0
        while file.tell() < size:
            who, first = f"S{block // 4}", block % 4 * ROWS
            file.writelines(
                f"{(first + i) / 50:.2f},{line},{label},{who}\n"
                for i, (line, label) in enumerate(zip(lines, labels, strict=True))
            )
            block += 1
    return block * ROWS


class Peak(threading.Thread):
    """Watches the memory of this process that is its own: what the system could not take back."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bytes, self.stopped = 0, threading.Event()

    def run(self):
        while not self.stopped.wait(0.05):
            text = Path("/proc/self/status").read_text()
            self.bytes = max(self.bytes, int(text.split("RssAnon:")[1].split()[0]) * 1024)


def main():
    """Measure, and write results.json and results.md."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=2.0)
    parser.add_argument("--folder", type=Path, default=None)
    told = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=told.folder))
    try:
        path = folder / "all.csv"
        rows = write(path, told.gigabytes * 1e9)
        size = path.stat().st_size
        peak = Peak()
        peak.start()
        began = time.perf_counter()
        dataset = Recordings(
            str(path), CHANNELS, "activity", time="t", subject="who", window="2.56 s", hop="50 %"
        ).load(folder / "home")
        seconds = time.perf_counter() - began
        peak.stopped.set()
        result = {"csv_gb": size / 1e9, "rows": rows, "windows": len(dataset), "seconds": seconds,
                  "peak_gb": peak.bytes / 1e9, "stored_gb": dataset.inputs.nbytes / 1e9}  # fmt: skip
    finally:
        shutil.rmtree(folder)
    here = Path(__file__).parent
    (here / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (here / "results.md").write_text(
        "# Memory that recordings take\n\n"
        f"`python -m benchmarks.recordings_memory.run --gigabytes {told.gigabytes:g}`: one CSV file of "
        f"{result['csv_gb']:.1f} GB ({rows:,} rows of six channels), windows of 2.56 s.\n\n"
        "| | |\n|---|---|\n"
        f"| memory of the process at its peak | {result['peak_gb']:.2f} GB |\n"
        f"| windows | {result['windows']:,}, {result['stored_gb']:.1f} GB on disk |\n"
        f"| time | {seconds:.0f} s on a busy machine with 2 cores |\n\n"
        "What is counted is anonymous memory (`RssAnon`), sampled every 50 ms; pages of memory-maps, which the "
        "system "
        "takes back as it needs them, are not. `tests/data/recordings/test_memory.py` holds that four times the "
        "rows "
        "take no more.\n"
    )


if __name__ == "__main__":
    main()
