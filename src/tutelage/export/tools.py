"""The tools of other people that write and run files for devices, each imported where it is used."""

import contextlib
import io
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from tutelage.errors import library

__all__ = [
    "Tool", "heard", "lite_converter", "lite_interpreter", "lite_quantiser", "lite_schema", "micro_runtime",
    "onnx_exporter", "onnx_runtime",
]  # fmt: skip


@dataclass(frozen=True)
class Tool:
    """A module of other people; calling it imports and returns it.

    Args:
        module: its name.
        user: what needs it, for the sentence where it is not installed.
        extra: of this package, that installs it.
        attribute: what is wanted of it; empty for the module itself.
    """

    module: str
    user: str
    extra: str
    attribute: str = ""

    def __call__(self) -> Any:
        """Return the module, or what is wanted of it; what it says on the way is not repeated.

        Raises:
            UserError: it is not installed.
        """
        with heard():
            found = library(self.module, self.user, self.extra)
        return getattr(found, self.attribute) if self.attribute else found

    def refuse_missing(self) -> None:
        """Do nothing where it is installed; it is not imported, which may take seconds.

        Raises:
            UserError: it is not installed.
        """
        if find_spec(self.module.partition(".")[0]) is None:
            self()


onnx_runtime = Tool("onnxruntime", "an ONNX file", "export")
onnx_exporter = Tool("onnxscript", "an ONNX file", "export")
lite_interpreter = Tool(
    "ai_edge_litert.interpreter", "a TensorFlow Lite file", "edge", "Interpreter"
)
lite_schema = Tool("ai_edge_litert.schema_py_generated", "a TensorFlow Lite file", "edge")
lite_converter = Tool("litert_torch", "a TensorFlow Lite file", "edge")
lite_quantiser = Tool("ai_edge_quantizer", "an int8 TensorFlow Lite file", "edge")
micro_runtime = Tool(
    "tflite_micro.python.tflite_micro.runtime", "the cost on a microcontroller", "edge"
)


@contextmanager
def heard() -> Iterator[Callable[[], str]]:
    """Keep what is written to the process' own output, also past Python; yield what returns its text, once."""
    with tempfile.TemporaryFile() as file:

        def listen() -> str:
            file.seek(0)
            return file.read().decode(errors="replace")

        streams = [os.dup(1), os.dup(2)]
        try:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
            with (
                contextlib.redirect_stdout(io.StringIO()),
                contextlib.redirect_stderr(io.StringIO()),
            ):
                yield listen
        finally:
            for number, stream in enumerate(streams, 1):
                os.dup2(stream, number)
                os.close(stream)
