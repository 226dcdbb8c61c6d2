"""The tools of other people that write and run files for devices, each imported where it is used."""

from typing import Any

from tutelage.errors import library

__all__ = [
    "lite_converter", "lite_interpreter", "lite_quantiser", "lite_schema", "micro_runtime", "onnx_exporter",
    "onnx_runtime",
]  # fmt: skip


def onnx_runtime() -> Any:
    """Return ``onnxruntime``."""
    return library("onnxruntime", "an ONNX file", "export")


def onnx_exporter() -> Any:
    """Return ``onnxscript``, which torch's exporter needs."""
    return library("onnxscript", "an ONNX file", "export")


def lite_interpreter() -> Any:
    """Return LiteRT's ``Interpreter``."""
    return library("ai_edge_litert.interpreter", "a TensorFlow Lite file", "edge").Interpreter


def lite_schema() -> Any:
    """Return the classes of the TensorFlow Lite file format."""
    return library("ai_edge_litert.schema_py_generated", "a TensorFlow Lite file", "edge")


def lite_converter() -> Any:
    """Return ``litert_torch``."""
    return library("litert_torch", "a TensorFlow Lite file", "edge")


def lite_quantiser() -> Any:
    """Return ``ai_edge_quantizer``."""
    return library("ai_edge_quantizer", "an int8 TensorFlow Lite file", "edge")


def micro_runtime() -> Any:
    """Return the interpreter of TensorFlow Lite for Microcontrollers."""
    return library(
        "tflite_micro.python.tflite_micro.runtime", "the cost on a microcontroller", "edge"
    )
