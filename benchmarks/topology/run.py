"""Measure our persistence images and diagrams against other libraries.

    python benchmarks/topology/run.py [--rounds 7] [--giotto-python PATH]

One thread, process CPU time, peer and ours by turns in every round on the same distinct inputs; a
row is the median of the ratios of the rounds. Slow peers get a part of the inputs, another part in
every round. giotto-tda needs numpy below 2: PATH is the python of an environment that has it.
"""

# ruff: noqa: E402  (numerical libraries read these variables when they are imported)
import os

for _name in ("OMP", "OPENBLAS", "MKL", "NUMEXPR"):
    os.environ[f"{_name}_NUM_THREADS"] = "1"

import argparse
import json
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LIBRARIES = ("numpy", "numba", "scipy", "gudhi", "ripser", "persim", "cripser", "pyts", "torch")
ITEMS = 2560


def cpu(work: Callable[[], object]) -> float:
    """Return the process CPU time of one call, in seconds."""
    began = time.process_time()
    work()
    return time.process_time() - began


class Elsewhere:
    """A peer in another environment: gets a file name, answers with CPU seconds."""

    def __init__(self, python: str) -> None:
        self.process = subprocess.Popen(
            [python, str(HERE / "worker.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.folder = tempfile.TemporaryDirectory()
        self.version = self._line()

    def _line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def seconds(self, batch: np.ndarray) -> float:
        path = Path(self.folder.name) / "batch.npy"
        np.save(path, batch)
        assert self.process.stdin is not None
        print(path, file=self.process.stdin, flush=True)
        return float(self._line())

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()
        self.folder.cleanup()


def largest_difference(row, estimator, x: np.ndarray) -> float | None:
    """Return how far our images of a few items are from the peer's, relative to their maximum."""
    if row.exact is None:
        return None
    from rows import peers

    few = x[:12]
    theirs = np.stack([np.asarray(image) for image in row.peer(few[:, 0])])
    if row.peer is peers.ripser_imager:
        theirs = theirs.swapaxes(1, 2)[:, ::-1]  # persim's axes: births along rows, ascending
    if row.peer is peers.expert_torch:
        theirs = theirs.reshape(-1, *theirs.shape[-2:])
    mine = estimator.transform(few)
    return float(np.abs(mine.reshape(theirs.shape) - theirs).max())


def measure(row, x: np.ndarray, rounds: int, elsewhere: Elsewhere | None) -> dict:
    """Return one row of the result."""
    from rows import ours

    run, estimator = ours(row.ours, x)
    difference = largest_difference(row, estimator, x)
    assert difference is None or difference < row.exact, (row.name, difference)
    flat = x[:, 0]
    run()
    ratios, mine, theirs = [], [], []
    for k in range(-1, rounds):  # the first round warms up both sides
        start = (k + 1) * row.part % (len(flat) - row.part + 1)
        batch = flat[start : start + row.part]
        before = cpu(run) / len(x)
        if isinstance(row.peer, str):
            assert elsewhere is not None
            peer = elsewhere.seconds(batch) / len(batch)
        else:
            peer = cpu(lambda batch=batch: row.peer(batch)) / len(batch)
        own = (before + cpu(run) / len(x)) / 2  # before and after: the machine drifts
        if k >= 0:
            ratios.append(peer / own)
            mine.append(own * 1e6)
            theirs.append(peer * 1e6)
    return {
        "row": row.name,
        "data": row.data,
        "ratio": float(np.median(ratios)),
        "ratio_low": min(ratios),
        "ratio_high": max(ratios),
        "ours_us": float(np.median(mine)),
        "peer_us": float(np.median(theirs)),
        "peer_items_per_round": row.part,
        "must": row.must,
        "stretch": row.stretch,
        "largest_difference": difference,
    }


def absolute(data: dict[str, np.ndarray], rounds: int) -> list[dict]:
    """Return our own CPU times per item: written to a given buffer, to new memory, and as bytes."""
    from rows import ours

    found = []
    for kind, label in (
        ("image", "float32 into a buffer"),
        ("fresh", "float32 into new memory"),
        ("bytes", "uint8 into a buffer"),
        ("diagram", "diagrams"),
    ):
        for name, x in data.items():
            run, _ = ours(kind, x)
            run()
            times = [cpu(run) / len(x) * 1e6 for _ in range(rounds)]
            found.append(
                {
                    "output": label,
                    "data": name,
                    "us": float(np.median(times)),
                    "best_us": min(times),
                }
            )
    return found


def packages() -> dict[str, str]:
    found = {"python": platform.python_version(), "processor": processor()}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    return found


def processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text().splitlines() if path.exists() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} x {len(names)}" if names else platform.processor()


def verdict(row: dict) -> str:
    if row["must"] is None:
        return "-"
    if row["ratio"] >= row["stretch"]:
        return "stretch reached"
    return "must reached" if row["ratio"] >= row["must"] else "NOT reached"


def table(result: dict) -> str:
    lines = [
        "# Persistence images and diagrams against other libraries",
        "",
        f"Command: `{result['command']}`  ",
        "One thread, process CPU time, interleaved; the ratio is the median over "
        f"{result['rounds']} rounds of peer / ours, with the lowest and highest round. Ours runs on "
        f"{result['items']} distinct inputs in every round; slow peers run on the part given. Images "
        "are 64 x 64 and divided by their maximum; ours are float32 written to one buffer of 256 "
        "images. Photos and noise are 32 x 32 with one image for H0 and one for H1. "
        "`difference` is the largest difference of our image from the peer's where both compute the "
        "same integral.",
        "",
        "Other people's programs ran on the machine: trust the ratios, not the microseconds.  ",
        "Versions: " + ", ".join(f"{k} {v}" for k, v in result["versions"].items()),
        "",
        "| peer | data | ratio | range | ours us | peer us | peer items | must | stretch | verdict | difference |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---|---:|",
    ]
    for row in result["rows"]:
        targets = [f"{row[k]:g}" if row[k] else "-" for k in ("must", "stretch")]
        difference = row["largest_difference"]
        lines.append(
            f"| {row['row']} | {row['data']} | **{row['ratio']:.3g}** | "
            f"{row['ratio_low']:.3g} - {row['ratio_high']:.3g} | {row['ours_us']:.2f} | "
            f"{row['peer_us']:.1f} | {row['peer_items_per_round']} | {targets[0]} | {targets[1]} | "
            f"{verdict(row)} | {'-' if difference is None else f'{difference:.1e}'} |"
        )
    lines += ["", *(f"Left out: {note}" for note in result["notes"]), ""]
    lines += [
        "## Ours alone, CPU us per item",
        "",
        "| output | data | median | best |",
        "|---|---|---:|---:|",
    ]
    lines += [
        f"| {row['output']} | {row['data']} | {row['us']:.2f} | {row['best_us']:.2f} |"
        for row in result["ours"]
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--giotto-python", help="python that can import gtda")
    parser.add_argument("--only", default="", help="rows whose name contains this; writes nothing")
    arguments = parser.parse_args()

    import torch
    from rows import ROWS

    from data import geneactiv_like, pamap2_like, photo_patches, uniform_noise

    torch.set_num_threads(1)
    data = {
        "pamap2": pamap2_like(ITEMS),
        "geneactiv": geneactiv_like(ITEMS),
        "photos": photo_patches(ITEMS),
        "noise": uniform_noise(ITEMS),
    }
    elsewhere = Elsewhere(arguments.giotto_python) if arguments.giotto_python else None
    notes = [
        "forward and backward through the differentiable layer: measured by gradient.py, see gradient.md"
    ]
    if elsewhere is None:
        notes.append("giotto-tda: no --giotto-python given")
    versions = packages()
    if elsewhere:
        versions["giotto-tda"] = elsewhere.version
    rows = []
    for row in ROWS:
        if arguments.only not in row.name or (isinstance(row.peer, str) and elsewhere is None):
            continue
        rows.append(measure(row, data[row.data], arguments.rounds, elsewhere))
        last = rows[-1]
        print(
            f"{last['row']:44s} {last['data']:10s} {last['ratio']:8.1f}x  "
            f"{last['ours_us']:7.2f} us  {verdict(last)}",
            flush=True,
        )
    if elsewhere:
        elsewhere.close()
    if arguments.only:
        return
    result = {
        "command": "python benchmarks/topology/run.py"
        + (" --giotto-python PATH" if elsewhere else ""),
        "rounds": arguments.rounds,
        "items": ITEMS,
        "versions": versions,
        "notes": notes,
        "rows": rows,
        "ours": absolute(data, arguments.rounds),
    }
    (HERE / "results.json").write_text(json.dumps(result, indent=1) + "\n")
    (HERE / "results.md").write_text(table(result))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
