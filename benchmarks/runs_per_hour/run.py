"""Runs per hour of a three-teacher study on PAMAP2-shaped data: each way beside a plain live-teacher loop.

python -m benchmarks.runs_per_hour.run

Student: 1-D WRN16-1 on 40 x 100. Teachers, all WRN16-3: signal (1-D), persistence image and Gramian field (2-D on
40 x 64 x 64). Objectives: labels and soft targets. A run is 60 epochs of 390 steps of 64 windows.
Values are random: time does not depend on them.
"""

import argparse
import os
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import psutil
import torch
from lightning_fabric import Fabric
from torch.nn import functional

from benchmarks.common import Run, write
from tutelage.batches import Samples
from tutelage.execution.stacked_training import Member, fit_stacked
from tutelage.models import On, WideResNet
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.runs.writer import Unrecorded
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, cache_teacher
from tutelage.terms import SoftTargets
from tutelage.train import Settings, State, Training, fit
from tutelage.types import Needs

BATCH, COUNT, CLASSES, CHANNELS = 64, 256, 12, 40
RUN_STEPS, WINDOWS = 60 * 390, 25_000
SHARING = 27  # runs of one fold that share its teachers: 3 methods, 3 coefficients, 3 seeds
MODALITY = {"sig": "signal", "pi": "pi", "gaf": "gaf"}
CPU = Fabric(accelerator="cpu", devices=1)


def make_samples() -> Samples:
    random = torch.Generator().manual_seed(0)
    signal = torch.randn(COUNT, CHANNELS, 100, generator=random)
    labels = torch.randint(0, CLASSES, (COUNT,), generator=random)
    return Samples({"signal": signal}, labels, tuple(map(str, range(CLASSES))))


def network(modality: str, width: int = 1) -> On:
    ones = ([0.0] * CHANNELS, [1.0] * CHANNELS)
    dimensions = 1 if modality == "signal" else 2
    made = WideResNet(CHANNELS, CLASSES, width=width, dimensions=dimensions)
    return On(modality, made, *ones)


def member(samples: Samples, entries: dict[str, Path], seed: int) -> Member:
    torch.manual_seed(seed)
    distiller = Distiller(
        {
            "labels": Weighted(Labels(), 0.1 + 0.05 * seed),
            "soft": Weighted(PerTeacher(SoftTargets(4.0)), 0.9),
        }
    )
    training = Training(
        network("signal"),
        distiller,
        CachedTeachers(entries),
        samples,
        torch.arange(COUNT),
        {},
    )
    step = GradientStep(
        partial(torch.optim.SGD, lr=0.0, momentum=0.9, nesterov=True, weight_decay=1e-4), 0.05
    )
    return Member(training, step, Settings(10**6, BATCH, seed), Unrecorded(), State())


def alone(one: Member, fabric: Fabric = CPU) -> None:
    """Train one more epoch of a student by itself."""
    settings = replace(one.settings, epochs=one.state.epoch + 1)
    fit(one.training, one.step, settings, fabric, one.record, one.state)


def together(members: list[Member], fabric: Fabric = CPU) -> None:
    """Train one more epoch of all students as one network."""
    later = [
        replace(one, settings=replace(one.settings, epochs=one.state.epoch + 1)) for one in members
    ]
    for _, end in fit_stacked(later, fabric):
        assert isinstance(end, State), end


def plain_loop(images: dict[str, torch.Tensor], samples: Samples, teachers: dict[str, On]) -> Run:
    """Return a step as one writes it in a script: teachers run in every step."""
    student = network("signal").train()
    optimizer = torch.optim.SGD(
        student.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4
    )
    inputs = {"signal": samples.inputs["signal"], **images}

    def step() -> None:
        chosen = torch.randperm(BATCH)
        with torch.no_grad():
            said = [t.on_tensor(inputs[t.modality][chosen]).logits for t in teachers.values()]
        logits = student.on_tensor(inputs["signal"][chosen]).logits
        own = functional.log_softmax(logits / 4, dim=1)
        loss = 0.1 * functional.cross_entropy(logits, samples.labels[chosen])
        for theirs in said:
            target = functional.softmax(theirs / 4, dim=1)
            loss = loss + 0.3 * 16 * functional.kl_div(own, target, reduction="batchmean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.manual_seed(0)
    torch.set_num_threads(1)
    samples, cores = make_samples(), psutil.cpu_count(logical=False) or 1
    images = {
        name: torch.randint(0, 255, (BATCH, CHANNELS, 64, 64), dtype=torch.uint8)
        for name in ("pi", "gaf")
    }
    teachers = {name: network(modality, 3).eval() for name, modality in MODALITY.items()}
    with tempfile.TemporaryDirectory() as folder:
        entries = logits_on_disk(samples, Path(folder))
        ways = {
            "live": plain_loop(images, samples, teachers),
            "cached": partial(alone, member(samples, entries, 0)),
        }
        for size in (2, 8):
            members = [member(samples, entries, seed) for seed in range(size)]
            ways[f"stacked {size}"] = partial(together, members)
        seconds = measure(ways, options.rounds)
    report(seconds, cores)


def logits_on_disk(samples: Samples, folder: Path) -> dict[str, Path]:
    """Return entries of the teacher cache; which network filled them makes no difference to reading them."""
    signal = {name: network("signal") for name in MODALITY}
    return {
        name: cache_teacher(
            net, samples, torch.arange(COUNT), Needs(), folder=folder, modality="signal"
        )
        for name, net in signal.items()
    }


def measure(ways: dict[str, Run], count: int) -> dict[str, list[float]]:
    """Return the processor seconds of every way in every round; rounds interleave."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(1 + count):
        for name, run in ways.items():
            start = time.process_time()
            run()
            if number:  # the first warms up
                seconds[name].append(time.process_time() - start)
    return seconds


def report(seconds: dict[str, list[float]], cores: int) -> None:
    steps = COUNT // BATCH
    students = {"live": 1, "cached": steps, "stacked 2": 2 * steps, "stacked 8": 8 * steps}
    labels = {
        "live": "plain loop, live teachers",
        "cached": "teachers cached, one student a process",
        "stacked 2": "teachers cached, 2 students stacked",
        "stacked 8": "teachers cached, 8 students stacked",
    }
    step = {way: min(values) / students[way] for way, values in seconds.items()}
    caching = WINDOWS / BATCH * (step["live"] - step["cached"])
    head = [
        "way",
        "processor s a step",
        "runs per hour",
        "with caching the teachers",
        "times the plain loop",
    ]
    table, rates = [head], {}
    for way, label in labels.items():
        run = RUN_STEPS * step[way] / cores
        whole = run if way == "live" else run + caching / SHARING / cores
        rates[way] = 3600 / whole
        row = [label, f"{step[way]:.4f}", f"{3600 / run:.3g}", f"{3600 / whole:.3g}"]
        table.append([*row, f"{rates[way] / rates['live']:.1f}"])
    result = {
        "seconds": seconds,
        "how": "processor seconds of processes of one thread, the smallest of interleaved rounds, because other "
        f"programs ran on the machine (load {os.getloadavg()[1]:.1f}); runs per hour of {cores} cores, if all of "
        "them do nothing else. The plain loop is given the same perfect use of the cores.",
        "teachers": f"passed over {WINDOWS:,} windows once for a fold ({caching:.0f} processor seconds), which "
        f"{SHARING} runs share; a plain loop passes {RUN_STEPS * BATCH:,} in each run.",
    }
    write(Path(__file__).parent, "python -m benchmarks.runs_per_hour.run", result, table)


if __name__ == "__main__":
    main()
