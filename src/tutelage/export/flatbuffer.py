"""TensorFlow Lite files as data: their metadata, their operators, their quantisation."""

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.export.facts import KEY
from tutelage.export.tools import lite_schema

__all__ = ["operators", "read_metadata", "with_metadata", "without_marks"]

_MOVES = ("RESHAPE", "TRANSPOSE", "PAD", "SQUEEZE", "EXPAND_DIMS", "MAX_POOL_2D")
"""Operators whose result is coded as their input is."""


def with_metadata(content: bytes, text: str) -> bytes:
    """Return a file with our entry in its metadata; one that is there already gives way.

    Inner tensors are renamed to their numbers: their names tell the layers they came from, which nobody needs on a
    device, and are more than the weights of a small network.
    """
    import flatbuffers

    schema = lite_schema()
    model = _parse(content)
    for graph in model.subgraphs:
        ends = {*graph.inputs, *graph.outputs}
        for number, tensor in enumerate(graph.tensors):
            if number not in ends:
                tensor.name = str(number)
    buffer = schema.BufferT()
    buffer.data = list(text.encode())
    entry = schema.MetadataT()
    entry.name, entry.buffer = KEY, len(model.buffers)
    model.buffers = [*model.buffers, buffer]
    model.metadata = [*(old for old in model.metadata or [] if _text(old.name) != KEY), entry]
    builder = flatbuffers.Builder(len(content) + 2 * len(text))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def read_metadata(content: bytes, path: Path) -> str | None:
    """Return the entry of :func:`with_metadata`, or None where there is none.

    Raises:
        UserError: the file is no TensorFlow Lite model.
    """
    if content[4:8] != b"TFL3":
        raise UserError(f"{path}: is no TensorFlow Lite model")
    try:
        model = _parse(content)
        for entry in model.metadata or []:
            if _text(entry.name) == KEY:
                return bytes(model.buffers[entry.buffer].data).decode()
    except Exception as error:  # whatever a damaged flatbuffer makes its reader raise
        raise UserError(
            f"{path}: is a damaged TensorFlow Lite model ({type(error).__name__})"
        ) from None
    return None


def without_marks(content: bytes) -> tuple[bytes, dict[str, tuple[float, float]]]:
    """Take the pairs of quantise and dequantise out of a float file that marks the ranges of its values.

    Returns:
        The file without them, and name of a tensor -> the values of its lowest and its highest code.
    """
    import flatbuffers

    model = _parse(content)
    (graph,) = model.subgraphs
    kinds = [_kind(model, operator) for operator in graph.operators]
    moved = {
        int(operator.inputs[0]): int(operator.outputs[0])
        for operator, kind in zip(graph.operators, kinds, strict=True)
        if kind == "DEQUANTIZE"
    }
    instead, ranges, left = dict[int, int](), dict[int, tuple[float, float]](), []
    for operator, kind in zip(graph.operators, kinds, strict=True):
        operator.inputs = [instead.get(int(i), int(i)) for i in operator.inputs]
        source, target = int(operator.inputs[0]), int(operator.outputs[0])
        if kind == "QUANTIZE":
            instead[moved[target]] = source
            ranges[source] = _ends(graph.tensors[target].quantization)
        elif kind != "DEQUANTIZE":
            left.append(operator)
            if kind in _MOVES and source in ranges:
                ranges[target] = ranges[source]
    graph.operators = left
    graph.outputs = [instead.get(int(i), int(i)) for i in graph.outputs]
    for signature in model.signatureDefs or []:
        for end in signature.outputs:
            end.tensorIndex = instead.get(int(end.tensorIndex), int(end.tensorIndex))
    names = {i: _text(graph.tensors[i].name) for i in ranges}
    _drop_unread(model, graph)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output()), {names[i]: ends for i, ends in ranges.items()}


def _drop_unread(model: Any, graph: Any) -> None:
    """Leave out the tensors that no operator touches any more."""
    touched = {int(i) for o in graph.operators for i in (*o.inputs, *o.outputs)} - {-1}
    kept = sorted(touched | {int(i) for i in (*graph.inputs, *graph.outputs)})
    number = {old: new for new, old in enumerate(kept)} | {-1: -1}
    graph.tensors = [graph.tensors[i] for i in kept]
    for part in (graph, *graph.operators):
        part.inputs = [number[int(i)] for i in part.inputs]
        part.outputs = [number[int(i)] for i in part.outputs]
    for signature in model.signatureDefs or []:
        for end in (*signature.inputs, *signature.outputs):
            end.tensorIndex = number[int(end.tensorIndex)]


def _ends(coding: Any) -> tuple[float, float]:
    """Return the values of the lowest and the highest code."""
    scale, zero = float(coding.scale[0]), int(coding.zeroPoint[0])
    return scale * (-128 - zero), scale * (127 - zero)


def operators(content: bytes) -> dict[str, int]:
    """Return how often each operator stands in a file, the most frequent first."""
    model = _parse(content)
    counts = Counter(
        _kind(model, operator) for graph in model.subgraphs for operator in graph.operators
    )
    return dict(counts.most_common())


def _kind(model: Any, operator: Any) -> str:
    """Return the name of an operator's kind."""
    code = model.operatorCodes[operator.opcodeIndex]
    number = max(code.builtinCode, code.deprecatedBuiltinCode)
    return _kinds().get(number, "CUSTOM")


@cache
def _kinds() -> dict[int, str]:
    known = vars(lite_schema().BuiltinOperator)
    return {number: name for name, number in known.items() if isinstance(number, int)}


def _parse(content: bytes) -> Any:
    schema = lite_schema()
    return schema.ModelT.InitFromPackedBuf(content, 0)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
