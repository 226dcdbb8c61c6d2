"""One face for a trained network wherever it lies: a run folder, an ONNX file, a TensorFlow Lite file."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tutelage.errors import UserError
from tutelage.export.facts import ModelFacts
from tutelage.export.tools import heard, lite_interpreter, onnx_runtime
from tutelage.statistics.temperature import softened

__all__ = ["MODELS", "LiteModel", "Model", "OnnxModel", "Prediction"]

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """What a model says of one window.

    Args:
        name: of the class.
        number: of the class.
        probability: of it, in [0, 1]; softmax, not calibrated.
    """

    name: str
    number: int
    probability: float


class Model(ABC):
    """A network that predicts; its inputs are those that the data set stores, standardised inside.

    Args:
        facts: what is known of it.
        place: where it lies, for errors.
    """

    def __init__(self, facts: ModelFacts, place: str) -> None:
        self.facts, self.place = facts, place

    @abstractmethod
    def _logits(self, windows: Floats) -> Floats:
        """Return the scores of windows of the right shape, [n, C]."""

    def logits(self, windows: NDArray[Any]) -> Floats:
        """Return the class scores of windows, [n, C], float32.

        Args:
            windows: [n, channels, samples], in the units of training; of images [n, 3, height, width].

        Raises:
            UserError: another number of channels or samples, or a value that is no finite number.
        """
        expected = self.facts.shape
        if windows.ndim != len(expected) + 1 or windows.shape[1:] != expected:
            raise UserError(
                f"{self.place}: found inputs of {list(windows.shape[1:])}; it reads {list(expected)} "
                f"({self.facts.inputs})"
            )
        values = np.ascontiguousarray(windows, dtype=np.float32)
        if not np.isfinite(values).all():
            bad = int(np.flatnonzero(~np.isfinite(values).reshape(len(values), -1).all(axis=1))[0])
            raise UserError(f"{self.place}: window {bad} holds NaN or an infinite value")
        return self._logits(values)

    def predict(self, windows: NDArray[Any]) -> list[Prediction]:
        """Return the most probable class of each window; arguments as of :meth:`logits`."""
        return list(predictions(self.logits(windows), self.facts.class_names))


def predictions(logits: Floats, names: tuple[str, ...]) -> Iterator[Prediction]:
    """Yield the most probable class of each row of scores."""
    for probabilities in softened(logits, 1.0):
        number = int(probabilities.argmax())
        yield Prediction(names[number], number, float(probabilities[number]))


class OnnxModel(Model):
    """An ``.onnx`` file of ``tutelage ship``, run by ONNX Runtime.

    Raises:
        UserError: the file is missing, is no ONNX model, or was not shipped by Tutelage.
    """

    def __init__(self, path: Path, threads: int = 0) -> None:
        runtime = onnx_runtime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self.session = runtime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except OSError as error:
            raise UserError(f"{path}: cannot be read ({error.strerror})") from None
        except Exception as error:  # the runtime's errors have no common class but this
            raise UserError(
                f"{path}: is no ONNX model that can be run ({str(error)[:80]})"
            ) from None
        text = self.session.get_modelmeta().custom_metadata_map.get("tutelage")
        super().__init__(ModelFacts.of_metadata(text, str(path)), str(path))

    def _logits(self, windows: Floats) -> Floats:
        parts = [
            self.session.run(["logits"], {"input": windows[start : start + 256]})[0]
            for start in range(0, len(windows), 256)
        ]
        return (
            np.concatenate(parts)
            if parts
            else np.zeros((0, len(self.facts.class_names)), np.float32)
        )


class LiteModel(Model):
    """A ``.tflite`` file of ``tutelage ship``, float or int8, run by LiteRT.

    Raises:
        UserError: the file is missing, is no TensorFlow Lite model, or was not shipped by Tutelage.
    """

    def __init__(self, path: Path, threads: int = 1) -> None:
        from tutelage.export.flatbuffer import read_metadata

        content = _bytes(path)
        super().__init__(ModelFacts.of_metadata(read_metadata(content, path), str(path)), str(path))
        with heard():
            self.interpreter = lite_interpreter()(model_content=content, num_threads=threads)
            self.interpreter.allocate_tensors()

    @cached_property
    def _ends(self) -> tuple[dict[str, Any], dict[str, Any]]:
        return self.interpreter.get_input_details()[0], self.interpreter.get_output_details()[0]

    def codes(self, windows: Floats) -> NDArray[Any]:
        """Return windows as the file reads them: int8 codes, or the numbers themselves."""
        return coded(windows, self._ends[0])

    def _logits(self, windows: Floats) -> Floats:
        source, target = self._ends
        rows = np.zeros((len(windows), len(self.facts.class_names)), np.float32)
        for number, window in enumerate(self.codes(windows)):
            self.interpreter.set_tensor(source["index"], window[None])
            self.interpreter.invoke()
            rows[number] = decoded(self.interpreter.get_tensor(target["index"]), target)[0]
        return rows


MODELS: Mapping[str, Callable[[Path], Model]] = {".onnx": OnnxModel, ".tflite": LiteModel}
"""Ending of a file of ``tutelage ship`` -> what runs it."""


def coded(values: Floats, details: dict[str, Any]) -> NDArray[Any]:
    """Return numbers as a tensor of a TensorFlow Lite file holds them."""
    if details["dtype"] == np.float32:
        return values
    scale, zero = details["quantization"]
    limits = np.iinfo(details["dtype"])
    codes = np.clip(np.round(values / np.float32(scale)) + zero, limits.min, limits.max)
    return np.asarray(codes.astype(details["dtype"]))


def decoded(codes: NDArray[Any], details: dict[str, Any]) -> Floats:
    """Return the numbers that a tensor of a TensorFlow Lite file stands for."""
    if details["dtype"] == np.float32:
        return codes
    scale, zero = details["quantization"]
    return np.asarray((codes.astype(np.float32) - zero) * np.float32(scale))


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None
