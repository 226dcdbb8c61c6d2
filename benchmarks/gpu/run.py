"""Epochs on a GPU: the product's loop beside a plain one, students in stacks, and what a step waits for.

python -m benchmarks.gpu.run --device cuda

With ``--device cpu`` the same code runs anywhere, prints, and writes nothing.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch.nn import functional

from benchmarks.common import Run, ratio, rounds, write
from benchmarks.runs_per_hour.run import alone, together
from tutelage.batches import Samples
from tutelage.execution.stacked_training import Member
from tutelage.models import On, WideResNet
from tutelage.models.layout import channels_last
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.runs.writer import Unrecorded
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, LiveTeachers, Teachers, cache_teacher
from tutelage.terms import SoftTargets
from tutelage.train import Settings, State, Training
from tutelage.types import Batch, Needs, Output

CLASSES, TEMPERATURE = 10, 4.0
WORK = {  # name -> shape of a sample, batch, batches of an epoch
    "CIFAR-10, WRN16-3 to WRN16-1": ((3, 32, 32), 128, 40),
    "signal, WRN16-3 to WRN16-1": ((6, 128), 64, 40),
}
STACKS = (4, 16)


def network(shape: tuple[int, ...], width: int, device: str) -> On:
    channels = shape[0]
    made = WideResNet(channels, CLASSES, width=width, dimensions=1 if len(shape) == 2 else 2)
    channels_last(made)
    return On("x", made, [0.0] * channels, [1.0] * channels).to(device)


def member(
    samples: Samples,
    shape: tuple[int, ...],
    batch: int,
    teachers: Teachers,
    device: str,
    seed: int = 0,
) -> Member:
    torch.manual_seed(seed)
    distiller = Distiller({
        "labels": Weighted(Labels(), 0.1), "soft": Weighted(PerTeacher(SoftTargets(TEMPERATURE)), 0.9),
    }).to(device)  # fmt: skip
    training = Training(
        network(shape, 1, device), distiller, teachers, samples, torch.arange(len(samples)), {}
    )
    step = GradientStep(partial(torch.optim.SGD, lr=0.0, momentum=0.9, weight_decay=5e-4), 0.05)
    return Member(
        training, step, Settings(10**6, batch, seed, stop_constant=False), Unrecorded(), State()
    )


def plain(samples: Samples, shape: tuple[int, ...], batch: int, device: str, *, half: bool) -> Run:
    """Return an epoch as one writes it in a script: pinned batches of a loader, the teacher in every step."""
    data = torch.utils.data.TensorDataset(samples.inputs["x"], samples.labels)
    loader = torch.utils.data.DataLoader(
        data, batch, shuffle=True, drop_last=True, pin_memory=device == "cuda"
    )
    student, teacher = (network(shape, width, device).network for width in (1, 3))
    student.train(), teacher.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)

    def epoch() -> None:
        for inputs, labels in loader:
            x, y = inputs.to(device, non_blocking=True), labels.to(device, non_blocking=True)
            with torch.autocast(device, torch.bfloat16, enabled=half):
                with torch.no_grad():
                    theirs = teacher(x).logits
                logits = student(x).logits
                own = functional.log_softmax(logits / TEMPERATURE, dim=1)
                target = functional.softmax(theirs / TEMPERATURE, dim=1)
                soft = functional.kl_div(own, target, reduction="batchmean") * TEMPERATURE**2
                loss = 0.1 * functional.cross_entropy(logits, y) + 0.9 * soft
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()

    return epoch


def running(teacher: On, fabric: Fabric) -> Teachers:
    """Return a teacher that runs in every step, in the precision of the run."""
    live = LiveTeachers({"t": teacher}, Needs())

    def said(batch: Batch) -> Mapping[str, Output]:
        with fabric.autocast():
            return live(batch)

    return said


def finished(run: Run, device: str) -> Run:
    """Let a run last until the device has done what it was asked for."""

    def whole() -> None:
        run()
        if device == "cuda":
            torch.cuda.synchronize()

    return whole


def waits(run: Run, device: str) -> int | None:
    """Return how often an epoch waits for the GPU, or None where there is none."""
    if device != "cuda":
        return None
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as heard:
            warnings.simplefilter("always")
            run()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchroniz" in str(one.message) for one in heard)


def ways(
    shape: tuple[int, ...], batch: int, count: int, device: str, folder: Path
) -> dict[str, Run]:
    """Return an epoch of every way, by its name."""
    random = torch.Generator().manual_seed(0)
    inputs = torch.randn(batch * count, *shape, generator=random)
    labels = torch.randint(0, CLASSES, (batch * count,), generator=random)
    samples = Samples({"x": inputs}, labels, tuple(map(str, range(CLASSES))))
    teacher = network(shape, 3, device).eval()
    entry = cache_teacher(
        teacher, samples, torch.arange(len(samples)), Needs(), folder=folder, modality="x"
    )

    def cached() -> Teachers:
        return CachedTeachers({"t": entry}, device)

    found: dict[str, Run] = {}
    for half in (False, True):
        precision = "bf16-mixed" if half else "32-true"
        fabric = Fabric(accelerator=device, devices=1, precision=precision)
        make: Callable[[Teachers], Member] = partial(member, samples, shape, batch, device=device)
        found[f"plain loop, {precision}"] = plain(samples, shape, batch, device, half=half)
        found[f"live, {precision}"] = partial(alone, make(running(teacher, fabric)), fabric)
        found[f"cached, {precision}"] = partial(alone, make(cached()), fabric)
    for size in STACKS:
        members = [member(samples, shape, batch, cached(), device, seed) for seed in range(size)]
        found[f"stack of {size}, cached, 32-true"] = partial(
            together, members, Fabric(accelerator=device, devices=1)
        )
    return {name: finished(run, device) for name, run in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, help="of an epoch; fewer for a trial")
    options = parser.parse_args()
    table = [["work", "way", "ms a step and student", "times the plain loop", "waits in an epoch"]]
    result: dict[str, object] = {}
    for work, (shape, batch, whole) in WORK.items():
        count = options.batches or whole
        with tempfile.TemporaryDirectory() as folder:
            runs = ways(shape, batch, count, options.device, Path(folder))
            seconds = rounds(runs, options.rounds, warm=2)
            for name, took in seconds.items():
                students = int(name.split()[2].rstrip(",")) if name.startswith("stack") else 1
                base = f"plain loop, {'bf16-mixed' if 'bf16' in name else '32-true'}"
                faster = students * ratio(seconds, base, name)
                waited = waits(runs[name], options.device)
                table.append([
                    work, name, f"{1000 * min(took) / count / students:.3f}", f"{faster:.2f}",
                    "" if waited is None else str(waited),
                ])  # fmt: skip
        result[work] = seconds
    if options.device == "cuda":
        result["device"] = torch.cuda.get_device_name()
        write(Path(__file__).parent, "python -m benchmarks.gpu.run", result, table)
    else:
        print("\n".join(" | ".join(row) for row in table))


if __name__ == "__main__":
    main()
