"""Write rows of pixels as float32 or as bytes.

The type is chosen when a kernel is compiled. With a test inside of one function LLVM compiles both
loops for both types and vectorises neither well: that tripled the time of this step.
"""

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tutelage.modalities.topology.kernel import Array


def store_fraction(line: Array, divisor: np.float32, target: Array) -> None:
    """Write line / divisor, values in [0, 1]; bytes are trunc(255 x), as in the published images.

    Multiplying by the inverse would turn some largest pixels into 0.9999999 and so 255 into 254.

    Args:
        line: at least as long as ``target``, float32.
        divisor: above 0.
        target: receives float32 or uint8.
    """
    scaled = line[: target.size] / divisor
    target[:] = np.float32(255) * scaled if target.dtype == np.uint8 else scaled


def store_affine(line: Array, half: np.float32, shift: np.float32, target: Array) -> None:
    """Write values; bytes are round((x + shift) * half).

    Args:
        line: float32.
        half: levels per unit.
        shift: value that becomes 0, negated.
        target: receives float32 or uint8, as long as ``line``.
    """
    bytes_wanted = target.dtype == np.uint8
    target[:] = (line + shift) * half + np.float32(0.5) if bytes_wanted else line


# numba compares the annotations of the two functions below with each other, hence Any


@overload(store_fraction)  # type: ignore[untyped-decorator]
def _store_fraction(line: Any, divisor: Any, target: Any) -> Any:
    def as_bytes(line: Any, divisor: Any, target: Any) -> Any:
        for k in range(target.size):
            # by way of int32, for which processors have a vector instruction
            target[k] = np.int32(np.float32(255.0) * (line[k] / divisor))

    def as_floats(line: Any, divisor: Any, target: Any) -> Any:
        for k in range(target.size):
            target[k] = line[k] / divisor

    return as_bytes if target.dtype == types.uint8 else as_floats


@overload(store_affine)  # type: ignore[untyped-decorator]
def _store_affine(line: Any, half: Any, shift: Any, target: Any) -> Any:
    def as_bytes(line: Any, half: Any, shift: Any, target: Any) -> Any:
        for k in range(target.size):
            target[k] = np.int32((line[k] + shift) * half + np.float32(0.5))

    def as_floats(line: Any, half: Any, shift: Any, target: Any) -> Any:
        for k in range(target.size):
            target[k] = line[k]

    return as_bytes if target.dtype == types.uint8 else as_floats
