"""What one training step of every method costs beside plain KD, on cached teachers, in the same run.

python -m benchmarks.step_cost.run --recipes recipes/hapt

Every method's stage is built from its recipe as a run would build it, and reads its teachers from the cache in
every step. Rounds interleave the methods, so that all see the same noise.
"""

import argparse
import statistics
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.common import rounds, write
from benchmarks.methods import Group, groups
from tutelage.data import home
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.teachers import CachedTeachers
from tutelage.training.assemble import Context, assemble
from tutelage.training.student import StandIns
from tutelage.types import Clock

BATCH, STEPS, EPOCHS, REFERENCE = 128, 5, 6, "kd"  # five steps: one of them is a meta step of MMKD
LONG = 1000  # steps of an epoch, so that no call ends one


class _Held:
    """Counts the bytes that autograd keeps for the backward pass, each storage once."""

    def __init__(self) -> None:
        self.sizes: dict[int, int] = {}

    def keep(self, tensor: Tensor) -> Tensor:
        self.sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor


def stages(
    group: Group, data: Fold, cache: Path
) -> dict[str, tuple[Callable[..., object], nn.Module]]:
    small = data.small(BATCH * STEPS)
    learned, context = StandIns(small), Context(cache, cache, "cpu", {}, {})
    found = {}
    for spec in resolve(group.recipe, 0, data):
        if spec.stage not in group.methods:
            continue
        train = spec.train.model_copy(update={"batch_size": BATCH, "teachers": "cached"})
        own = replace(spec, train=train, seed=0)
        made = assemble(own, small, context, lambda what, fraction: None, learned=learned)
        stepper = made.step.bind(made.fabric, made.student.train(), made.distiller)
        samples, index = made.training.samples, made.training.train
        batches = [samples.take(index[i * BATCH :][:BATCH]) for i in range(STEPS)]
        found[spec.stage] = (_step(stepper, batches, made.training.teachers), made.distiller)
    return found


def _step(stepper: object, batches: list, teachers: CachedTeachers) -> Callable[..., object]:
    done = [LONG]  # in the second epoch, where everything a method does is switched on

    def run(steps: int = STEPS) -> None:
        for batch in batches[:steps]:
            clock = Clock(1, done[0], EPOCHS, LONG, {"accuracy": 0.5}, [0.5] * 100)
            stepper(batch, teachers(batch), clock)
            done[0] += 1

    return run


def held(run: Callable[..., object]) -> int:
    """Return the bytes kept for backward in one step (of MMKD: one with a meta step)."""
    counter = _Held()
    with torch.autograd.graph.saved_tensors_hooks(counter.keep, lambda tensor: tensor):
        run(1)
    return sum(counter.sizes.values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--recipes", type=Path, default=Path("recipes/hapt"))
    parser.add_argument(
        "--only", nargs="*", help="names of recipe files beside kd; prints, writes nothing"
    )
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs: dict[str, Callable[..., object]] = {}
    scaffolding = {}
    chosen = None if options.only is None else {REFERENCE, *options.only}
    paths = [p for p in options.recipes.glob("*.yaml") if chosen is None or p.stem in chosen]
    for group in groups(paths):
        dataset = load_data(group.recipe.data, home(), None)
        data = Fold.of(DataSpec.of(group.recipe), dataset, 0, Path("runs/.cache/modalities"))
        for name, (run, distiller) in stages(group, data, Path("runs/.bench")).items():
            runs[name] = run
            scaffolding[name] = sum(p.numel() for p in distiller.parameters())
    seconds = rounds(runs, options.rounds, warm=2)
    memory = {name: held(run) for name, run in runs.items()}
    table = [["method", "ms a step (median)", "times plain KD (median of rounds)",
              "kept for backward, times plain KD", "parameters dropped at export"]]  # fmt: skip
    result: dict[str, object] = {"seconds": seconds, "bytes kept": memory}
    ratios = {}
    for name in runs:
        ratios[name] = statistics.median(
            a / b for a, b in zip(seconds[name], seconds[REFERENCE], strict=True)
        )
        table.append(
            [
                name,
                f"{1000 * statistics.median(seconds[name]) / STEPS:.1f}",
                f"{ratios[name]:.2f}",
                f"{memory[name] / memory[REFERENCE]:.2f}",
                f"{scaffolding[name]:,}",
            ]
        )
    result |= {"ratios": ratios, "rows": table}
    if chosen is not None:
        print("\n".join("  ".join(row) for row in table))
        return
    folder = Path(__file__).parent / options.recipes.name
    folder.mkdir(exist_ok=True)
    command = f"python -m benchmarks.step_cost.run --recipes {options.recipes}"
    write(folder, command, result, table)


if __name__ == "__main__":
    main()
