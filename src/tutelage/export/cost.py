"""What a file costs: flash, memory and time, measured in the interpreters that will run it."""

import os
import re
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.export.flatbuffer import operators
from tutelage.export.models import LiteModel, OnnxModel, decoded
from tutelage.export.tools import micro_runtime

__all__ = ["Arena", "FileCost", "cost_of", "run_micro"]

_ARENAS = [2**power for power in range(15, 26)]
_TIMED = 200


@dataclass(frozen=True)
class Arena:
    """What TensorFlow Lite for Microcontrollers allocates for a file, in bytes.

    Args:
        total: RAM of the model: ``head`` and ``tail`` together.
        head: activations, used again and again.
        tail: what lives as long as the interpreter.
    """

    total: int
    head: int
    tail: int


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


def cost_of(path: Path, window: NDArray[np.float32]) -> FileCost:
    """Measure a file.

    Args:
        path: an ``.onnx`` or ``.tflite`` file of ``tutelage ship``.
        window: one input, [channels, samples].
    """
    content = path.read_bytes()
    if path.suffix == ".onnx":
        model = OnnxModel(path, threads=1)
        return FileCost(
            len(content), milliseconds={"onnxruntime": _time(lambda: model.logits(window[None]))}
        )
    lite = LiteModel(path, threads=1)
    times = {"litert": _time(lambda: lite.logits(window[None]))}
    arena = None
    if lite.facts.quantisation is not None:
        arena, _, times["tflm"] = run_micro(path, window[None])
    return FileCost(len(content), arena, operators(content), times)


def run_micro(path: Path, windows: NDArray[np.float32]) -> tuple[Arena, NDArray[np.float32], float]:
    """Run an int8 file in the interpreter of microcontrollers, with its reference kernels.

    Args:
        path: of the file.
        windows: [n, channels, samples].

    Returns:
        What was allocated, the scores [n, C], and the median milliseconds of one prediction here.

    Raises:
        UserError: the interpreter knows an operator not, or is not installed.
    """
    runtime = micro_runtime()
    lite, problem = LiteModel(path), "no arena is large enough"
    for size in _ARENAS:
        try:
            interpreter = runtime.Interpreter.from_file(str(path), arena_size=size)
        except Exception as error:  # it says why on its own stream
            problem = " ".join(str(error).split())[:120]
            continue
        arena = _allocations(interpreter.print_allocations)
        target = interpreter.get_output_details(0)
        details = {
            "dtype": target["dtype"],
            "quantization": (
                target["quantization_parameters"]["scales"][0],
                target["quantization_parameters"]["zero_points"][0],
            ),
        }
        rows, seconds = [], []
        for code in lite.codes(windows):
            interpreter.set_input(code[None], 0)
            begun = time.perf_counter()
            interpreter.invoke()
            seconds.append(time.perf_counter() - begun)
            rows.append(decoded(interpreter.get_output(0), details)[0])
        return arena, np.stack(rows).astype(np.float32), 1e3 * float(np.median(seconds))
    raise UserError(f"{path}: TensorFlow Lite for Microcontrollers does not run it ({problem})")


def _allocations(show: Callable[[], None]) -> Arena:
    """Return the allocator's report, which it writes to the process' own output, past Python."""
    with tempfile.TemporaryFile() as file:
        streams = [os.dup(1), os.dup(2)]
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            show()
        finally:
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
                os.close(stream)
        file.seek(0)
        said = file.read().decode(errors="replace")
    sizes = {
        name: int(n) for name, n in re.findall(r"Arena allocation (total|head|tail) (\d+)", said)
    }
    if sizes.keys() != {"total", "head", "tail"}:
        raise UserError("the interpreter of microcontrollers did not report its arena")
    return Arena(**sizes)


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
