"""Two operations on eight float32 at once, written for the compiler of numba.

numba cannot promise LLVM that two arrays do not overlap, so its loops over a dozen pixels stay
scalar or begin with a test that costs as much as the work. These say what is meant. LLVM lowers
eight lanes to whatever the processor has.
"""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic

LANES = 8
_VECTOR = ir.VectorType(ir.FloatType(), LANES)


def _place(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    """Return a vector pointer to ``array[index]`` of a contiguous one-dimensional array."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


def _load(builder: Any, place: Any) -> Any:
    return builder.load(place, align=4, typ=_VECTOR)


def _spread(builder: Any, number: Any) -> Any:
    """Return a vector with the same number in every lane."""
    lane = ir.Constant(ir.IntType(32), 0)
    one = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, lane)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(one, ir.Constant(_VECTOR, ir.Undefined), zeros)


def _multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """Return a * b + c."""
    fused = ("contract",)
    return builder.fadd(builder.fmul(a, b, flags=fused), c, flags=fused)


@intrinsic  # type: ignore[untyped-decorator]
def add_lanes(
    _context: Any, target: Any, i: Any, factor: Any, source: Any, j: Any
) -> tuple[Any, Callable[..., Any]]:
    """Do ``target[i : i + 8] += factor * source[j : j + 8]``; both [n], float32, contiguous."""
    signature = types.void(target, types.intp, types.float32, source, types.intp)

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, number, other, start = arguments
        to = _place(context, builder, signature.args[0], array, at)
        values = _load(builder, _place(context, builder, signature.args[3], other, start))
        total = _multiply_add(builder, _spread(builder, number), values, _load(builder, to))
        builder.store(total, to, align=4)
        return context.get_dummy_value()

    return signature, code


@intrinsic  # type: ignore[untyped-decorator]
def blend_lanes(
    _context: Any,
    target: Any,
    i: Any,
    table: Any,
    j: Any,
    stride: Any,
    a: Any,
    b: Any,
    c: Any,
    d: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Do ``target[i : i + 8] = a t[j] + b t[j + stride] + c t[j + 2 stride] + d t[j + 3 stride]``."""
    number = types.float32
    signature = types.void(
        target, types.intp, table, types.intp, types.intp, number, number, number, number
    )

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, at, source, start, step, *factors = arguments
        total = ir.Constant(_VECTOR, None)
        for factor in factors:
            values = _load(builder, _place(context, builder, signature.args[2], source, start))
            total = _multiply_add(builder, _spread(builder, factor), values, total)
            start = builder.add(start, step)
        to = _place(context, builder, signature.args[0], array, at)
        builder.store(total, to, align=4)
        return context.get_dummy_value()

    return signature, code
