"""The tools of other people that write and run files for devices, each imported where it is used."""

from importlib import import_module
from typing import Any

from tutelage.errors import UserError

__all__ = [
    "lite_converter",
    "lite_interpreter",
    "lite_quantiser",
    "lite_schema",
    "micro_runtime",
    "onnx_runtime",
]

EXTRA = "pip install 'tutelage[edge]'; docs/ship.md says in which order"


def onnx_runtime() -> Any:
    """Return ``onnxruntime``."""
    return _module("onnxruntime", "ONNX files", "pip install 'tutelage[export]'")


def lite_interpreter() -> Any:
    """Return LiteRT's ``Interpreter``."""
    return _module("ai_edge_litert.interpreter", "TensorFlow Lite files").Interpreter


def lite_schema() -> Any:
    """Return the classes of the TensorFlow Lite file format."""
    return _module("ai_edge_litert.schema_py_generated", "TensorFlow Lite files")


def lite_converter() -> Any:
    """Return ``litert_torch``."""
    return _module("litert_torch", "TensorFlow Lite files")


def lite_quantiser() -> Any:
    """Return ``ai_edge_quantizer``."""
    return _module("ai_edge_quantizer", "int8 TensorFlow Lite files")


def micro_runtime() -> Any:
    """Return the interpreter of TensorFlow Lite for Microcontrollers."""
    return _module("tflite_micro.python.tflite_micro.runtime", "the cost on a microcontroller")


def _module(name: str, what: str, install: str = EXTRA) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise UserError(
            f"{what} need {name.split('.', maxsplit=1)[0]}, which is not there ({error}): {install}"
        ) from error
