"""Three operations on eight float32 at once, written for the compiler of numba.

numba cannot promise LLVM that two arrays do not overlap, so its loops over a dozen pixels stay
scalar or begin with a test that costs as much as the work. These say what is meant. LLVM lowers
eight lanes to whatever the processor has.
"""

# ruff: noqa: PLR0917  (arrays of a kernel are passed by position)
from collections.abc import Callable
from typing import Any

from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.core import cgutils
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
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), number, lane)
    zeros = ir.Constant(ir.VectorType(ir.IntType(32), LANES), None)
    return builder.shuffle_vector(first, ir.Constant(_VECTOR, ir.Undefined), zeros)


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


def _sum_lanes(builder: Any, vector: Any) -> Any:
    """Return the sum of the eight lanes."""
    parts = [builder.extract_element(vector, ir.Constant(ir.IntType(32), k)) for k in range(LANES)]
    while len(parts) > 1:
        half = len(parts) // 2
        parts = [builder.fadd(a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
    return parts[0]


@intrinsic  # type: ignore[untyped-decorator]
def project_lanes(
    _context: Any,
    canvas: Any,
    start: Any,
    stride: Any,
    count: Any,
    rows: Any,
    row_slopes: Any,
    r: Any,
    columns: Any,
    column_slopes: Any,
    k: Any,
) -> tuple[Any, Callable[..., Any]]:
    """Project eight columns of a patch on two profiles and on their slopes.

    With G = eight columns from ``canvas[start]`` on, ``count`` rows ``stride`` apart, return
    rows G columns, row_slopes G columns and rows G column_slopes; profiles begin at r and at k.
    """
    integer, number = types.intp, types.float32
    signature = types.UniTuple(number, 3)(
        canvas, integer, integer, integer, rows, rows, integer, columns, columns, integer
    )

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        patch, at, step, times, *down, top, across, bends, left = arguments
        kinds = signature.args
        sums = [cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, None)) for _ in down]
        with cgutils.for_range(builder, times) as loop:
            here = builder.add(at, builder.mul(loop.index, step))
            values = _load(builder, _place(context, builder, kinds[0], patch, here))
            for profile, total in zip(down, sums, strict=True):
                data = context.make_array(kinds[4])(context, builder, profile).data
                factor = builder.load(builder.gep(data, [builder.add(top, loop.index)]))
                more = _multiply_add(builder, _spread(builder, factor), values, builder.load(total))
                builder.store(more, total)
        plain, sloped = (builder.load(total) for total in sums)
        column, bend = (
            _load(builder, _place(context, builder, kinds[7], profile, left))
            for profile in (across, bends)
        )
        products = ((plain, column), (sloped, column), (plain, bend))
        projections = [_sum_lanes(builder, builder.fmul(a, b)) for a, b in products]
        return context.make_tuple(builder, signature.return_type, projections)

    return signature, code
