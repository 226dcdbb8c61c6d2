"""One training step in both memory orders and both precisions: networks of the recipes, one thread, interleaved.

python -m benchmarks.layout.run
"""

import json
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.common import machine, ratio, rounds
from tutelage.models import SeparableNet, WideResNet
from tutelage.models.layout import channels_last

HERE = Path(__file__).parent
BASE = ("contiguous", "32-true")
WAYS = [(a, b) for b in ("32-true", "bf16-mixed") for a in ("contiguous", "channels last")]
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "signal, SeparableNet, 14 k": (lambda: SeparableNet(6, 6, width=32), (64, 6, 128)),
    "signal, WRN16-1": (lambda: WideResNet(6, 6, dimensions=1), (64, 6, 128)),
    "signal, WRN16-3": (lambda: WideResNet(6, 6, width=3, dimensions=1), (64, 6, 128)),
    "persistence image, WRN16-1": (lambda: WideResNet(6, 6), (64, 6, 32, 32)),
    "CIFAR-10, WRN16-1": (lambda: WideResNet(3, 10), (128, 3, 32, 32)),
    "CIFAR-10, WRN16-3": (lambda: WideResNet(3, 10, width=3), (128, 3, 32, 32)),
}


def step(name: str, layout: str, precision: str) -> Callable[[], None]:
    """Return one step of this network, and let it be made again and again."""
    make, shape = NETWORKS[name]
    torch.manual_seed(0)
    network, values = make(), torch.randn(shape)
    labels = torch.randint(0, 6, shape[:1])
    if layout == "channels last":
        channels_last(network)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9)
    half = precision == "bf16-mixed"

    def once() -> None:
        with torch.autocast("cpu", torch.bfloat16) if half else nullcontext():
            loss = F.cross_entropy(network(values).logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return once


def main() -> None:
    torch.set_num_threads(1)
    lines = [
        "`python -m benchmarks.layout.run`",
        "",
        "Milliseconds of CPU time of one step (forward, backward, SGD), median of 15 interleaved rounds, one "
        "thread, and how many times faster than contiguous float32. Runs use channels last "
        "([where](../../docs/machines.md)).",
        "",
        "| network | " + " | ".join(f"{layout}, {precision}" for layout, precision in WAYS) + " |",
        "|---|" + "---|" * len(WAYS),
    ]
    every = {}
    for name in NETWORKS:
        ways = {f"{a} {b}": step(name, a, b) for a, b in WAYS}
        seconds = rounds(ways, 15, warm=3, clock=time.process_time)
        every[name], base = seconds, " ".join(BASE)
        cells = [
            f"{1000 * statistics.median(took):.1f}"
            + ("" if way == base else f" ({ratio(seconds, base, way):.2f}x)")
            for way, took in seconds.items()
        ]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    facts = machine()
    (HERE / "results.json").write_text(
        json.dumps({"machine": facts, "seconds": every}, indent=1) + "\n"
    )
    lines += ["", "Machine: " + ", ".join(f"{k} {v}" for k, v in facts.items()) + "."]
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
