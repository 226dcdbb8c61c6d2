"""Interleaved timing of competitors on the same work, and result files that say how they were made."""

import json
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

Run = Callable[[], object]


def rounds(
    competitors: Mapping[str, Run],
    count: int,
    warm: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Return seconds of every competitor in every round; rounds interleave, so that all see the same noise.

    ``clock=time.process_time`` counts what this process computes, for long steps on a machine that others use.
    """
    for run in competitors.values():
        for _ in range(warm):
            run()
    seconds: dict[str, list[float]] = {name: [] for name in competitors}
    for _ in range(count):
        for name, run in competitors.items():
            start = clock()
            run()
            seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: Mapping[str, list[float]], slow: str, fast: str) -> float:
    """Return the median over rounds of slow / fast."""
    return statistics.median(a / b for a, b in zip(seconds[slow], seconds[fast], strict=True))


def machine() -> dict[str, Any]:
    """Return what the numbers depend on."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = next((x.partition(":")[2].strip() for x in flags.splitlines() if "model name" in x), "")
    commit = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {
        "processor": model or platform.processor(),
        "bf16 in hardware": "amx_bf16" in flags or "avx512_bf16" in flags,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "commit": commit.stdout.strip(),
    }


def write(folder: Path, command: str, result: Mapping[str, Any], table: list[list[str]]) -> None:
    """Write ``results.json`` and ``results.md``."""
    content = {"command": command, "machine": machine(), **result}
    (folder / "results.json").write_text(json.dumps(content, indent=1) + "\n")
    head, *body = table
    lines = [f"`{command}`", "", "| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(row) + " |" for row in body]
    lines += ["", "Machine: " + ", ".join(f"{k} {v}" for k, v in content["machine"].items()) + "."]
    lines += [f"{key}: {value}" for key, value in result.items() if isinstance(value, str)]
    (folder / "results.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
