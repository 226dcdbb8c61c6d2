"""Infidelity and largest sensitivity beside captum: how far apart on the same perturbations, and in what time.

python -m benchmarks.explanation_measures.run [--rounds 5] [--count 20]

A WRN-10-1 with random weights on 16 signals (3 x 128) and 16 images (3 x 32 x 32); both sides have the same number
of perturbations and at most 160 inputs in the network at a time. Time is that of the process.
"""

import argparse
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from captum import metrics
from torch import Tensor

from benchmarks.common import ratio, rounds, write
from tutelage.interpret import infidelities, infidelity, max_sensitivity, noise
from tutelage.models import Network, WideResNet

SAMPLES, ROWS, MAPS, SCALE, RADIUS = 16, 160, 5, 0.1, 0.1
SHAPES = {"signals": (3, 128), "images": (3, 32, 32)}


def gradient(network: Network, x: Tensor, classes: Tensor) -> Tensor:
    """Return the gradient of a class's logit."""
    with torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        score = network(x).logits.gather(1, classes[:, None]).sum()
        return torch.autograd.grad(score, x)[0]


class Sides:
    """Both ways to each measure, on one network and its inputs."""

    def __init__(self, shape: tuple[int, ...], count: int) -> None:
        torch.manual_seed(0)
        self.network = WideResNet(shape[0], 4, depth=10, dimensions=len(shape) - 1).eval()
        self.x, self.count = torch.randn(SAMPLES, *shape), count
        self.classes = self.logits(self.x).argmax(dim=1)
        first = gradient(self.network, self.x, self.classes)
        self.maps = {f"{n}": first + n * torch.randn_like(first) for n in range(MAPS)}

    def logits(self, x: Tensor) -> Tensor:
        return self.network(x).logits

    def own(self) -> Tensor:
        return infidelity(self.logits, self.x, self.maps["1"], self.classes, noise(SCALE),
                          count=self.count, rows=ROWS).error  # fmt: skip

    def captum(
        self, perturb: Callable[..., object], name: str = "1", normalize: bool = False
    ) -> Tensor:
        return metrics.infidelity(
            self.logits, perturb, self.x, self.maps[name], target=self.classes, normalize=normalize,
            n_perturb_samples=self.count, max_examples_per_batch=ROWS,
        )  # fmt: skip

    def own_maps(self) -> object:
        return infidelities(
            self.logits, self.x, self.maps, self.classes, noise(SCALE), count=self.count, rows=ROWS
        )

    def captum_maps(self) -> object:
        return [self.captum(drawn, name) for name in self.maps]

    def own_moved(self) -> Tensor:
        return max_sensitivity(
            lambda x, classes: gradient(self.network, x, classes), self.x, self.classes,
            radius=RADIUS, count=self.count, rows=ROWS,
        )  # fmt: skip

    def captum_moved(self, perturb: Callable[..., object]) -> Tensor:
        def explain(x: Tensor | tuple[Tensor], target: Tensor) -> object:
            if isinstance(x, tuple):  # what comes in a tuple is asked for in one
                return (gradient(self.network, x[0], target),)
            return gradient(self.network, x, target)

        return metrics.sensitivity_max(
            explain, self.x, perturb, target=self.classes, n_perturb_samples=self.count,
            max_examples_per_batch=ROWS,
        )  # fmt: skip

    def differences(self) -> Mapping[str, float]:
        """Return the largest relative difference over samples, on the same perturbations."""
        generator = torch.Generator().manual_seed(0)
        changes = [noise(SCALE)(self.x, generator)[0] for _ in range(self.count)]
        found = infidelity(self.logits, self.x, self.maps["1"], self.classes, noise(SCALE),
                           count=self.count, rows=ROWS)  # fmt: skip
        generator = torch.Generator().manual_seed(0)
        moves = [RADIUS * (2 * torch.rand(self.x.shape, generator=generator) - 1)
                 for _ in range(self.count)]  # fmt: skip
        pairs = {
            "infidelity": (found.error, self.captum(replayed(changes))),
            "infidelity, scaled": (found.scaled, self.captum(replayed(changes), normalize=True)),
            "largest sensitivity": (
                self.own_moved(),
                self.captum_moved(replayed(moves, added=True)),
            ),
        }
        return {
            name: float(((own - other).abs() / other.abs()).max())
            for name, (own, other) in pairs.items()
        }


def drawn(x: Tensor) -> tuple[Tensor, Tensor]:
    """Gaussian noise as captum takes it."""
    change = SCALE * torch.randn_like(x)
    return change, x - change


def moved(x: Tensor) -> Tensor:
    """A point of the ball, as captum takes it."""
    return x + RADIUS * (2 * torch.rand_like(x) - 1)


def replayed(changes: list[Tensor], *, added: bool = False) -> Callable[[Tensor], object]:
    """Return changes that were drawn before, as captum asks for them: those of a sample in a row."""
    left = list(changes)

    def perturb(x: Tensor) -> object:
        many = len(x) // SAMPLES
        change = torch.stack([left.pop(0) for _ in range(many)], dim=1).flatten(0, 1)
        return x + change if added else (change, x - change)

    return perturb


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=20)
    count, times = (vars(parser.parse_args())[name] for name in ("count", "rounds"))
    torch.set_num_threads(1)
    rows: dict[str, dict[str, float]] = {}
    for name, shape in SHAPES.items():
        sides = Sides(shape, count)
        for measure, apart in sides.differences().items():
            rows[f"{name}, {measure}"] = {"difference": apart}
        timed = {
            "infidelity": (partial(sides.captum, drawn), sides.own),
            f"infidelity of {MAPS} maps": (sides.captum_maps, sides.own_maps),
            "largest sensitivity": (partial(sides.captum_moved, moved), sides.own_moved),
        }
        for measure, (other, own) in timed.items():
            seconds = rounds({"captum": other, "here": own}, times, clock=time.process_time)
            row = rows.setdefault(f"{name}, {measure}", {})
            row |= {side: min(found) for side, found in seconds.items()}
            row["ratio"] = ratio(seconds, "captum", "here")
    head = ["", "largest relative difference", "seconds, captum", "seconds, here", "captum / here"]
    forms = {"difference": ".0e", "captum": ".3f", "here": ".3f", "ratio": ".2f"}
    body = [
        [name, *(format(row[key], form) if key in row else "" for key, form in forms.items())]
        for name, row in rows.items()
    ]
    note = (
        f"WRN-10-1, random weights, {SAMPLES} samples, {count} perturbations, at most {ROWS} inputs at a time on "
        f"both sides; seconds of the process: least of {times} interleaved rounds, ratio: their median."
    )
    command = f"python -m benchmarks.explanation_measures.run --rounds {times} --count {count}"
    write(Path(__file__).parent, command, {"note": note, "rows": rows}, [head, *body])


if __name__ == "__main__":
    main()
