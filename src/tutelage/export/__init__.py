"""From a run to files for devices: ONNX, TensorFlow Lite, C; proven equal, measured, streamed."""

from pathlib import Path

from tutelage.export.models import MODELS, Model, Prediction
from tutelage.export.onnx import PARITY, export_onnx
from tutelage.export.stream import Moment, Stream

__all__ = ["PARITY", "Model", "Moment", "Prediction", "Stream", "export_onnx", "load_model"]


def load_model(path: Path, data: Path | None = None) -> Model:
    """Return a model by its place: a run folder, or an ``.onnx`` or ``.tflite`` file of ``tutelage ship``.

    Args:
        path: the place.
        data: root of data sets, which tell a run folder its channels and rate; None for the user's default.

    Raises:
        UserError: it is none of these.
    """
    if path.suffix in MODELS:
        return MODELS[path.suffix](path)
    from tutelage.export.choosing import find_source
    from tutelage.export.source import load_run

    return load_run(find_source(path), data)
