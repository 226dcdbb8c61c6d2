"""What a file costs: flash, memory and time, measured in the interpreters that will run it."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.export.flatbuffer import operators
from tutelage.export.micro import Arena, MicroRun
from tutelage.export.models import LiteModel, OnnxModel

__all__ = ["FileCost", "cost_of"]

_TIMED = 200


@dataclass(frozen=True)
class FileCost:
    """What one file costs.

    Args:
        flash: bytes of the file.
        arena: of the microcontroller's interpreter, for int8 TensorFlow Lite files; None where it was not asked.
        operators: how often each one stands in a TensorFlow Lite file.
        milliseconds: interpreter -> median time of one prediction on this machine, one thread.
    """

    flash: int
    arena: Arena | None = None
    operators: Mapping[str, int] = field(default_factory=dict)
    milliseconds: Mapping[str, float] = field(default_factory=dict)


def cost_of(path: Path, window: NDArray[np.float32], micro: MicroRun | None = None) -> FileCost:
    """Measure a file.

    Args:
        path: an ``.onnx`` or ``.tflite`` file of ``tutelage ship``.
        window: one input, [channels, samples].
        micro: what the interpreter of microcontrollers said, of an int8 TensorFlow Lite file.
    """
    content = path.read_bytes()
    if path.suffix == ".onnx":
        model = OnnxModel(path, threads=1)
        return FileCost(
            len(content), milliseconds={"onnxruntime": _time(lambda: model.logits(window[None]))}
        )
    lite = LiteModel(path, threads=1)
    times = {"litert": _time(lambda: lite.logits(window[None]))}
    if micro is not None:
        times["tflm"] = micro.milliseconds
    return FileCost(len(content), micro.arena if micro else None, operators(content), times)


def _time(work: Callable[[], object]) -> float:
    """Return the median milliseconds of a call."""
    for _ in range(10):
        work()
    seconds = []
    for _ in range(_TIMED):
        begun = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - begun)
    return 1e3 * float(np.median(seconds))
