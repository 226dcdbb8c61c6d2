"""What may be shipped: each kind of file, what it is made from, and what writes it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError, unknown
from tutelage.export import tools
from tutelage.export.facts import ModelFacts
from tutelage.export.lite import header, quantise_lite, write_learned_lite, write_lite
from tutelage.export.onnx import export_onnx, label_onnx, quantise_onnx, write_learned_onnx
from tutelage.models import On, Quantised

__all__ = [
    "FORMATS",
    "LEARNED",
    "Format",
    "Making",
    "chosen_formats",
    "formats_of",
    "refuse_missing_tools",
]


@dataclass(frozen=True)
class Making:
    """What a file is made of.

    Args:
        network: in evaluation mode, on the CPU.
        facts: of it.
        shown: training windows that quantisation looks at, [m, ...].
        path: of the file.
        source: the file it is made from, or its own path where it is made from the network.
    """

    network: On
    facts: ModelFacts
    shown: NDArray[np.float32]
    path: Path
    source: Path


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        file: its name.
        write: writes it; returns the facts as they stand in it.
        needs: the tools of other people.
        source: the format it is made from; empty where that is the network.
        coded: its numbers are int8, so it may differ a little.
        runs: it can be asked about windows.
    """

    file: str
    write: Callable[[Making], ModelFacts]
    needs: tuple[tools.Tool, ...] = ()
    source: str = ""
    coded: bool = False
    runs: bool = True


def _onnx(made: Making) -> ModelFacts:
    export_onnx(made.network, made.facts.shape, made.path)
    label_onnx(made.path, made.facts.metadata())
    return made.facts


def _onnx_int8(made: Making) -> ModelFacts:
    quantise_onnx(made.source, made.shown, made.path)
    label_onnx(made.path, made.facts.metadata())
    return made.facts


def _onnx_learned(made: Making) -> ModelFacts:
    write_learned_onnx(made.network, made.facts.shape, made.path)
    label_onnx(made.path, made.facts.metadata())
    return made.facts


def _tflite(made: Making) -> ModelFacts:
    write_lite(made.network, made.facts, made.path)
    return made.facts


def _tflite_int8(made: Making) -> ModelFacts:
    return quantise_lite(made.source, made.facts, made.shown, made.path)


def _tflite_learned(made: Making) -> ModelFacts:
    return write_learned_lite(made.network, made.facts, made.path)


def _c(made: Making) -> ModelFacts:
    made.path.write_text(header(made.source.read_bytes(), made.facts), encoding="ascii")
    return made.facts


_LITE = (tools.lite_converter, tools.lite_interpreter, tools.lite_schema)
FORMATS: Mapping[str, Format] = {
    "onnx": Format("model.onnx", _onnx, (tools.onnx_exporter, tools.onnx_runtime)),
    "onnx-int8": Format("model.int8.onnx", _onnx_int8, source="onnx", coded=True),
    "tflite": Format("model.tflite", _tflite, _LITE),
    "tflite-int8": Format(
        "model.int8.tflite", _tflite_int8, (tools.lite_quantiser, tools.micro_runtime), "tflite", True
    ),
    "c": Format("model.h", _c, source="tflite-int8", runs=False),
}  # fmt: skip
"""What may be shipped, in the order in which it is made; ``c`` is the int8 TensorFlow Lite file as a C array."""


LEARNED: Mapping[str, Format] = {
    "onnx-int8": Format(
        "model.int8.onnx", _onnx_learned, (tools.onnx_exporter, tools.onnx_runtime), coded=True
    ),
    "tflite-int8": Format(
        "model.int8.tflite", _tflite_learned,
        (*_LITE, tools.lite_quantiser, tools.micro_runtime), coded=True,
    ),
    "c": FORMATS["c"],
}  # fmt: skip
"""What may be shipped of a network that was trained with simulated int8: no float file says what it says."""


def formats_of(network: On) -> Mapping[str, Format]:
    """Return what may be shipped of a network."""
    return LEARNED if isinstance(network.network, Quantised) else FORMATS


def chosen_formats(wanted: Sequence[str], kinds: Mapping[str, Format] = FORMATS) -> tuple[str, ...]:
    """Return the wanted formats with those they are made from, in the order they are made; all for none.

    Args:
        wanted: names.
        kinds: what may be shipped.

    Raises:
        UserError: there is no such format, or not of this network.
    """
    for name in wanted:
        if name not in FORMATS:
            raise unknown("--formats", "format", name, FORMATS)
        if name not in kinds:
            raise UserError(
                f"--formats: {name} is a float file, but the network was trained as int8 (allowed: "
                f"{', '.join(kinds)})"
            )
    needed = set(wanted or kinds)
    while more := {kinds[name].source for name in needed} - {""} - needed:
        needed |= more
    return tuple(name for name in kinds if name in needed)


def refuse_missing_tools(wanted: Sequence[str]) -> None:
    """Do nothing where every tool is there that the formats need, and those they are made from.

    Raises:
        UserError: one is not installed; the sentence says which extra brings it.
    """
    for name in chosen_formats(wanted):
        for tool in FORMATS[name].needs:
            tool.refuse_missing()
