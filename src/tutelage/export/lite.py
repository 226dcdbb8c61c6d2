"""TensorFlow Lite files: float, and full integer for microcontrollers."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.export.device import DeviceForm
from tutelage.export.facts import ModelFacts, Quantisation
from tutelage.export.flatbuffer import with_metadata, without_marks
from tutelage.export.layers import layer_that_fails
from tutelage.export.onnx import Scores
from tutelage.export.tools import heard, lite_converter, lite_interpreter, lite_quantiser
from tutelage.models import On

__all__ = ["quantise_lite", "write_learned_lite", "write_lite"]

WITHIN = 0.95
"""This share of the calibration windows lies wholly inside the range of an activation, at either end."""


def write_lite(network: On, facts: ModelFacts, path: Path) -> None:
    """Write a network, with crop and standardisation, as a float TensorFlow Lite file for one input at a time.

    Args:
        network: in evaluation mode, on the CPU.
        facts: kept in the file's metadata.
        path: of the file.

    Raises:
        UserError: the converter does not know a layer, or the extra ``edge`` is not installed.
    """
    # The converter writes weights as they lie in memory, whatever their strides say.
    plain = deepcopy(network).to(memory_format=torch.contiguous_format)
    content = _converted(Scores(plain).eval(), plain, facts, path)
    path.write_bytes(with_metadata(content, facts.metadata()))


def _converted(form: nn.Module, network: On, facts: ModelFacts, path: Path) -> bytes:
    """Return what a device computes of a network as a float file; ``path`` is written meanwhile."""
    converter = lite_converter()
    example = torch.zeros(1, *facts.shape)
    try:
        with heard():
            converter.convert(form, (example,)).export(str(path))
    except Exception as error:  # the converter raises whatever the layer made it raise
        raise _refused(network, example, path, error) from error
    return path.read_bytes()


def write_learned_lite(network: On, facts: ModelFacts, path: Path) -> ModelFacts:
    """Write a network trained with simulated int8 as a full integer file, with the ranges that training learned.

    Args:
        network: on a :class:`~tutelage.models.Quantised`, in evaluation mode, on the CPU.
        facts: of it.
        path: of the file.

    Returns:
        The facts with scales and zero points, as they stand in the file.

    Raises:
        UserError: the converter does not know a layer, or the extra ``edge`` is not installed.
    """
    form = DeviceForm(network, "values").to(memory_format=torch.contiguous_format).eval()
    content, ranges = without_marks(_converted(form, network, facts, path))
    path.write_bytes(content)
    learned = {
        name: {"min": np.full((1, 1), low, np.float32), "max": np.full((1, 1), high, np.float32)}
        for name, (low, high) in ranges.items()
    }
    return _quantised(path, facts, path, lambda _: learned)


def _refused(network: On, example: Tensor, path: Path, error: Exception) -> UserError:
    converter = lite_converter()

    def attempt(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        with heard():
            converter.convert(module, inputs)

    layer = layer_that_fails(network, example, attempt)
    return UserError(
        f"{path.name}: TensorFlow Lite cannot take {type(network.network).__name__}"
        f"{f', for its layer {layer}' * bool(layer)} ({one_line(error, 200)}); allowed: --formats onnx, or a "
        "convolutional network"
    )


def quantise_lite(
    source: Path, facts: ModelFacts, windows: NDArray[np.float32], path: Path
) -> ModelFacts:
    """Write a float TensorFlow Lite file as a full integer one: int8 in, int8 out, weights per channel.

    Args:
        source: what :func:`write_lite` wrote.
        facts: of it.
        windows: training windows that show the range of every activation, [n, ...].
        path: of the new file.

    Returns:
        The facts with scales and zero points, as they stand in the file.

    Raises:
        UserError: an operator cannot be quantised, or the extra ``edge`` is not installed.
    """
    return _quantised(source, facts, path, lambda quantiser: _ranges(quantiser, windows))


def _ranges(quantiser: Any, windows: NDArray[np.float32]) -> dict[str, Any]:
    """Return the range of every activation: what most windows need.

    The quantiser's own rule averages the ranges of windows, so half of them are cut off; the widest range of all
    makes steps so large that quiet windows vanish in them.
    """
    each = [
        quantiser.calibrate({"serving_default": [{"args_0": window[None]}]}) for window in windows
    ]

    def end(name: str, key: str, share: float) -> NDArray[np.float32]:
        ends = np.stack([one[name][key] for one in each])
        return np.asarray(np.quantile(ends, share, axis=0), np.float32)

    return {
        name: {"min": end(name, "min", 1 - WITHIN), "max": end(name, "max", WITHIN)}
        if "min" in known
        else known
        for name, known in each[0].items()
    }


def _quantised(
    source: Path, facts: ModelFacts, path: Path, ranges: Callable[[Any], Any]
) -> ModelFacts:
    """Write a float file as a full integer one, with the ranges that a quantiser is given."""
    tool = lite_quantiser()
    try:
        with heard():
            quantiser = tool.quantizer.Quantizer(str(source))
            quantiser.load_quantization_recipe(tool.recipe.static_wi8_ai8())
            result = quantiser.quantize(ranges(quantiser))
    except Exception as error:  # likewise
        raise UserError(
            f"{path.name}: cannot be quantised ({one_line(error, 200)}); allowed: --formats without int8"
        ) from error
    content = bytes(result.quantized_model)
    interpreter = lite_interpreter()(model_content=content)
    interpreter.allocate_tensors()
    ends = [interpreter.get_input_details()[0], interpreter.get_output_details()[0]]
    for name, end in zip(("input", "output"), ends, strict=True):
        if end["dtype"] != np.int8:
            raise UserError(f"{path.name}: its {name} is {end['dtype'].__name__}, not int8")
    (scale, zero), (out_scale, out_zero) = (end["quantization"] for end in ends)
    quantisation = Quantisation(float(scale), int(zero), float(out_scale), int(out_zero))
    facts = replace(facts, quantisation=quantisation)
    path.write_bytes(with_metadata(content, facts.metadata()))
    return facts


def header(content: bytes, facts: ModelFacts) -> str:
    """Return a file as a C array, with what the caller needs to feed it and to read its answer."""
    coding = facts.quantisation
    assert coding is not None, "microcontrollers get the int8 file"
    rows = [
        "  " + " ".join(f"0x{byte:02x}," for byte in content[start : start + 16])
        for start in range(0, len(content), 16)
    ]
    names = ", ".join(f'"{_c_text(name)}"' for name in facts.class_names)
    return "\n".join(
        [
            "/* Written by tutelage ship; see model.json and card.md. */",
            "#ifndef TUTELAGE_MODEL_H",
            "#define TUTELAGE_MODEL_H",
            "",
            f"#define TUTELAGE_CHANNELS {facts.shape[0]}  /* {_c_text(facts.inputs)} */",
            f"#define TUTELAGE_SAMPLES {facts.shape[-1]}",
            f"#define TUTELAGE_CLASSES {len(facts.class_names)}",
            "/* code = round(value / scale) + zero_point, clipped to -128..127; [channels][samples] */",
            f"#define TUTELAGE_INPUT_SCALE {coding.input_scale!r}f",
            f"#define TUTELAGE_INPUT_ZERO_POINT ({coding.input_zero_point})",
            "/* score = scale * (code - zero_point); the largest code is the answer */",
            f"#define TUTELAGE_OUTPUT_SCALE {coding.output_scale!r}f",
            f"#define TUTELAGE_OUTPUT_ZERO_POINT ({coding.output_zero_point})",
            "",
            f"static const char* const tutelage_class_names[TUTELAGE_CLASSES] = {{{names}}};",
            "",
            f"static const unsigned int tutelage_model_size = {len(content)};",
            f"static const unsigned char tutelage_model[{len(content)}] __attribute__((aligned(16))) = {{",
            *rows,
            "};",
            "",
            "#endif",
            "",
        ]
    )


def _c_text(text: str) -> str:
    """Return a text for a C literal or comment: other signs as escapes of their UTF-8 bytes."""
    return "".join(
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\*?' else f"\\{byte:03o}"
        for byte in text.encode()
    )
