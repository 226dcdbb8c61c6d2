"""A few real steps of one kind of run, in a real worker, on a small part of the real data."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import torch

from tutelage.evaluate import predict
from tutelage.execution.data_cache import DataCache
from tutelage.execution.listener import Listener
from tutelage.models import On
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.writer import RunFolder
from tutelage.teachers import CachedTeachers
from tutelage.train import State, TrainingRun
from tutelage.training.assemble import Assembled, Context, assemble
from tutelage.training.single import begin, finish
from tutelage.training.student import StandIns

__all__ = ["Cost", "TeacherCost", "probe"]

_STEPS = 8  # of one epoch of the probe


@dataclass(frozen=True)
class TeacherCost:
    """What it takes to cache a teacher.

    Args:
        sample: seconds per sample.
        pair: seconds per pair of samples, of the similarity maps that are stored.
        bytes_per_sample: on disk.
        bytes_per_pair: on disk.
    """

    sample: float
    pair: float
    bytes_per_sample: float
    bytes_per_pair: float


@dataclass(frozen=True)
class Cost:
    """What one kind of run costs.

    Args:
        step: seconds of a training step, with reading its batch.
        epoch: seconds of an epoch besides its steps and its evaluation: logs and checkpoints.
        predict: seconds per sample that the student is evaluated on.
        run: seconds of a run besides its epochs: putting it together, evaluating, recording.
        teachers: what it takes to cache each; none where they run in every step.
        memory: bytes of the process that are its own.
        folder: bytes of a run folder besides what grows with samples and epochs.
        traces: bytes per training sample of what objectives record.
    """

    step: float
    epoch: float
    predict: float
    run: float
    teachers: Mapping[str, TeacherCost]
    memory: int
    folder: int
    traces: float

    def to_json(self) -> dict[str, Any]:
        """Return it as nested mappings."""
        return asdict(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "Cost":
        """Return what :meth:`to_json` was made of."""
        teachers = {name: TeacherCost(**one) for name, one in content["teachers"].items()}
        return cls(**{**content, "teachers": teachers})


def probe(
    spec: RunSpec, accelerator: str, seconds: float, kept: DataCache, listener: Listener
) -> Cost:
    """Measure one kind of run; teachers are stood for by untrained networks of the same shape.

    Args:
        spec: a run of this kind.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        seconds: of steps, but at least two epochs of them: the first one warms up.
        kept: data that this process has read.
        listener: not told; all workers are asked in the same way.
    """
    whole = kept.fold(spec.data, spec.fold)
    # A step costs the same, whoever has labels; and of a few samples no more can have them than there are.
    train = spec.train.model_copy(update={"epoch_samples": None})
    spec = replace(spec, labelled=None, shown="all", train=train)
    data = whole.small(_STEPS * spec.train.batch_size, spec.taken)
    learned = StandIns(data)
    with tempfile.TemporaryDirectory(prefix="tutelage-probe-") as name:
        folder = Path(name)
        nowhere = {other.fingerprint: folder for other in spec.needs}
        context = Context(folder, folder, accelerator, {}, nowhere)
        # Once to warm up, and to fill the cache.
        assemble(spec, data, context, listener.progress, learned=learned)
        made, putting = _timed(lambda: assemble(spec, data, context, _quiet, learned=learned))
        _, reading = _timed(lambda: data.samples(sorted(made.samples.inputs)))
        return _measure(made, max(0.0, putting - reading), seconds, folder / "run")


def _quiet(what: str, fraction: float) -> None:
    """Say nothing: what is prepared here is thrown away."""


def _measure(made: Assembled, assembling: float, seconds: float, path: Path) -> Cost:
    folder, state = begin(made, path, lambda row: None)
    step, writing, state = _train(made, seconds, folder, state)
    index = made.training.train
    _, predicting = _timed(lambda: predict(made.training.student, made.samples, index))
    _, finishing = _timed(lambda: finish(made, folder, state))
    teachers = {name: _teacher(made, network) for name, network in made.teachers.items()}
    live = not isinstance(made.training.teachers, CachedTeachers)
    traces = path / "traces.npz"
    return Cost(
        step, writing, predicting / len(index), assembling + finishing,
        {} if live else teachers, _own_memory(),
        sum(file.stat().st_size for file in path.iterdir() if file != traces),
        traces.stat().st_size / len(index) if traces.exists() else 0.0,
    )  # fmt: skip


def _train(
    made: Assembled, seconds: float, folder: RunFolder, state: State
) -> tuple[float, float, State]:
    """Return the seconds of a step, those of an epoch's checkpoints, and the state."""
    state.best = {"validation": {"epoch": 0, "value": 0.0}}
    student, settings = made.training.student, made.settings
    course = TrainingRun(made.training, made.step, settings, made.fabric, folder, state)
    times: list[float] = []
    began = time.perf_counter()
    epochs = 0
    while settings.epochs and (epochs < 2 or time.perf_counter() - began < seconds):
        epoch, started = course.begin(), time.perf_counter()
        for batch, outputs, clock in epoch:
            epoch.note(batch, *course.stepper(batch, outputs, clock))
        _, index, traces = epoch.result()
        if epochs:
            times.append((time.perf_counter() - started) / max(1, course.steps))
        epochs += 1
        if traces:
            folder.traces(index, traces)
    state.student, state.distiller = student.state_dict(), made.distiller.state_dict()
    if settings.epochs:
        state.step = course.stepper.state()

    def keep() -> None:
        folder.best("validation", student, 0, 0.0, "validation")
        folder.last(state)
        if settings.epochs:
            folder.epoch({"epoch": 0, "step": 0, "train": {"loss": 0.0}}, 0.0)

    _, writing = _timed(keep)
    return sum(times) / max(1, len(times)), writing, state


def _teacher(made: Assembled, network: On) -> TeacherCost:
    """Measure one teacher on the training samples of the probe."""
    index = made.training.train
    _, seconds = _timed(lambda: predict(network, made.samples, index))
    needs = made.distiller.needs()
    batch = made.samples.take(index[:2])
    with torch.no_grad():
        output = network.eval()(batch)
    sizes = {tap: output.features[tap][0].numel() for tap in needs.features | needs.grams}
    only_gram = needs.grams - needs.features
    kept = sum(size for tap, size in sizes.items() if tap not in only_gram)
    return TeacherCost(
        seconds / len(index),
        sum(_pair(sizes[tap]) for tap in needs.grams),
        4.0 * (output.logits.shape[1] + kept),
        2.0 * len(needs.grams),  # a triangle
    )


def _pair(size: int) -> float:
    """Return the seconds per pair of samples of a similarity map; it is symmetric, so half of it is computed."""
    features = torch.randn(512, size)
    _, seconds = _timed(lambda: features @ features.T)
    return seconds / 512**2 / 2


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = work()
    return result, time.perf_counter() - started


def _own_memory() -> int:
    """Return the bytes of this process that no other one shares and that no file stands behind."""
    memory = psutil.Process(os.getpid()).memory_info()
    return int(memory.rss - getattr(memory, "shared", 0))
