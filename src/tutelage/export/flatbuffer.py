"""TensorFlow Lite files as data: their metadata, their operators, their quantisation."""

from collections import Counter
from pathlib import Path
from typing import Any

from tutelage.errors import UserError
from tutelage.export.facts import KEY
from tutelage.export.tools import lite_schema

__all__ = ["operators", "read_metadata", "with_metadata"]


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


def operators(content: bytes) -> dict[str, int]:
    """Return how often each operator stands in a file, the most frequent first."""
    schema = lite_schema()
    names = {
        value: name
        for name, value in vars(schema.BuiltinOperator).items()
        if isinstance(value, int)
    }
    model = _parse(content)
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    counts = Counter(
        names.get(codes[operator.opcodeIndex], "CUSTOM")
        for graph in model.subgraphs
        for operator in graph.operators
    )
    return dict(counts.most_common())


def _parse(content: bytes) -> Any:
    schema = lite_schema()
    return schema.ModelT.InitFromPackedBuf(content, 0)


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)
