"""An int8 file in the interpreter of microcontrollers: what it allocates, how long it takes, what it says."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.export.models import LiteModel, decoded
from tutelage.export.tools import heard, micro_runtime

__all__ = ["SECONDS", "Arena", "MicroRun", "run_micro"]

SECONDS = 60.0
"""How long an interpreter may be asked; where all windows take longer, it is asked about some, evenly spaced."""
_ARENAS = [2**power for power in range(15, 26)]
_FIRST = 20  # windows that tell how long one takes


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
class MicroRun:
    """What the interpreter of microcontrollers did.

    Args:
        arena: what it allocated.
        milliseconds: median time of one prediction on this machine.
        index: numbers of the windows that it was asked about, [m], increasing.
        logits: what it said of them, [m, C].
    """

    arena: Arena
    milliseconds: float
    index: NDArray[np.int64]
    logits: NDArray[np.float32]


def run_micro(path: Path, windows: NDArray[np.float32], seconds: float = SECONDS) -> MicroRun:
    """Run an int8 file in the interpreter of microcontrollers, with its reference kernels.

    Args:
        path: of the file.
        windows: [n, channels, samples], n >= 1.
        seconds: how long it may take; some of the windows, evenly spaced, where all would take longer.

    Raises:
        UserError: the interpreter does not know an operator, or is not installed.
    """
    interpreter, arena = _opened(path)
    codes = LiteModel(path).codes(windows)
    _, times = _asked(interpreter, codes[:_FIRST])
    n = max(1, min(len(codes), int(seconds / max(float(np.median(times)), 1e-9))))
    index = np.unique(np.linspace(0, len(codes) - 1, n).round().astype(np.int64))
    logits, times = _asked(interpreter, codes[index])
    return MicroRun(arena, 1e3 * float(np.median(times)), index, logits)


def _opened(path: Path) -> tuple[Any, Arena]:
    runtime, said = micro_runtime(), ""
    for size in _ARENAS:
        with heard() as listen:
            try:
                interpreter = runtime.Interpreter.from_file(str(path), arena_size=size)
            except Exception as error:  # it says why on the process' own output
                said = " ".join(f"{listen()} {error}".split())
                if unknown := re.search(r"Didn't find op for builtin opcode '(\w+)'", said):
                    said = f"it has no operator {unknown[1]}"
                    break
                continue
        return interpreter, _allocations(interpreter.print_allocations)
    raise UserError(
        f"{path.name}: TensorFlow Lite for Microcontrollers does not run it ({said[:160]}); allowed: --formats "
        "without tflite-int8 and c, or another network"
    )


def _asked(
    interpreter: Any, codes: NDArray[np.int8]
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return the scores of coded windows, [n, C], and the seconds of each, [n]."""
    target = interpreter.get_output_details(0)
    coding = target["quantization_parameters"]
    details = {
        "dtype": target["dtype"],
        "quantization": (coding["scales"][0], coding["zero_points"][0]),
    }
    rows, seconds = [], []
    for code in codes:
        interpreter.set_input(code[None], 0)
        begun = time.perf_counter()
        interpreter.invoke()
        seconds.append(time.perf_counter() - begun)
        rows.append(decoded(interpreter.get_output(0), details)[0])
    return np.stack(rows).astype(np.float32), np.asarray(seconds)


def _allocations(show: Callable[[], None]) -> Arena:
    with heard() as listen:
        show()
        said = listen()
    sizes = {
        name: int(n) for name, n in re.findall(r"Arena allocation (total|head|tail) (\d+)", said)
    }
    if sizes.keys() != {"total", "head", "tail"}:
        raise UserError("the interpreter of microcontrollers did not report its arena")
    return Arena(**sizes)
