"""A trained network as ONNX files, float and int8: from inputs as they are stored to class scores."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from tutelage.errors import UserError, one_line
from tutelage.export.device import DeviceForm
from tutelage.export.facts import KEY
from tutelage.export.layers import layer_that_fails
from tutelage.export.tools import onnx_exporter, onnx_runtime
from tutelage.models import On

__all__ = ["PARITY", "Scores", "export_onnx", "label_onnx", "quantise_onnx", "write_learned_onnx"]

_HOW: dict[str, Any] = {"dynamo": True, "external_data": False, "verbose": False}
PARITY = 1e-4  # largest difference of a score, relative to the largest score where that is above 1


def export_onnx(network: On, input_shape: Sequence[int], path: Path) -> float:
    """Write a network with its crop and standardisation as an ONNX file, and compare the scores of both.

    Input ``input`` [B, ...] float32, in the values that the data set stores (images in 0 to 255 where it stores
    bytes), B free; output ``logits`` [B, C].

    Args:
        network: a trained network, as ``load_network`` returns it; it stays as it is, but for its mode, which is
            evaluation from now on. It must be on the CPU.
        input_shape: of one input, such as [3, 32, 32].
        path: of the file.

    Returns:
        The largest difference of a score between torch and ONNX Runtime, on three random inputs.

    Raises:
        UserError: onnx, onnxscript or onnxruntime is not installed, the network cannot be exported, or its scores
            differ by more than ``PARITY``.

    Example::

        network, spec = load_network(run / "best.safetensors")
        export_onnx(network, spec["input_shape"], Path("student.onnx"))
    """
    runtime = onnx_runtime()
    network.eval()
    _written(Scores(network), network, _random(network, (2, *input_shape)), path)
    other = _random(network, (3, *input_shape))
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(["logits"], {"input": other.numpy()})
    with torch.no_grad():
        wanted = network.on_tensor(other).logits
    apart = float((torch.from_numpy(found) - wanted).abs().max())
    if apart > PARITY * max(1.0, float(wanted.abs().max())):
        raise UserError(
            f"{path}: scores differ by {apart:.2g} from those in torch (allowed: {PARITY})"
        )
    return apart


def _refused(network: On, example: Tensor, path: Path, error: Exception) -> UserError:
    def attempt(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        torch.onnx.export(module, inputs, None, **_HOW)

    layer = layer_that_fails(network, example, attempt)
    return UserError(
        f"{path.name}: {type(network.network).__name__} cannot be exported"
        f"{f', for its layer {layer}' * bool(layer)}: {one_line(error)} (allowed: a network whose layers ONNX has)"
    )


def _written(form: nn.Module, network: On, example: Tensor, path: Path) -> None:
    """Write what makes scores of inputs, for any number of inputs."""
    onnx_exporter()
    try:
        torch.onnx.export(
            form.eval(), (example,), str(path), input_names=["input"], output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch", min=1)},), **_HOW,
        )  # fmt: skip
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise _refused(network, example, path, error) from error
    _leave_out_notes(path)


def write_learned_onnx(network: On, input_shape: Sequence[int], path: Path) -> None:
    """Write a network trained with simulated int8 as a QDQ file, with the ranges that training learned.

    Args:
        network: on a :class:`~tutelage.models.Quantised`, on the CPU.
        input_shape: of one input.
        path: of the file; input and output as of :func:`export_onnx`.

    Raises:
        UserError: the network cannot be exported.
    """
    onnx_runtime()
    form = DeviceForm(network, "codes")
    _written(form, network, _random(network, (2, *input_shape)), path)


def _random(network: On, shape: tuple[int, ...]) -> Tensor:
    """Return inputs as large as the stored ones: from the mean up to a deviation above it."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    axes = (1, -1) + (1,) * (len(shape) - 2)
    return network.mean.view(axes) + network.std.view(axes) * values


class Scores(nn.Module):
    """What is deployed of a network: its scores."""

    def __init__(self, network: On) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Return logits, [B, C]."""
        return self.network.on_tensor(x).logits


def quantise_onnx(source: Path, windows: NDArray[np.float32], path: Path) -> None:
    """Write a float ONNX file as an int8 one: QDQ, static, weights per channel.

    Args:
        source: what :func:`export_onnx` wrote.
        windows: training inputs that show the range of every activation, [n, ...].
        path: of the new file.

    Raises:
        UserError: it cannot be quantised.
    """
    onnx_runtime()
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Shown(quantization.CalibrationDataReader):  # type: ignore[misc]
        """The calibration windows, a few at a time."""

        def __init__(self) -> None:
            self.rest = iter(range(0, len(windows), 32))

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            start = next(self.rest, None)
            return None if start is None else {"input": windows[start : start + 32]}

    prepared = path.with_name(f"{path.name}.prepared.onnx")
    try:
        quant_pre_process(str(source), str(prepared))
        quantization.quantize_static(
            str(prepared), str(path), Shown(), quant_format=quantization.QuantFormat.QDQ, per_channel=True,
            activation_type=quantization.QuantType.QInt8, weight_type=quantization.QuantType.QInt8,
        )  # fmt: skip
    except Exception as error:  # the tool raises whatever a layer made it raise
        raise UserError(
            f"{path.name}: cannot be quantised ({one_line(error, 200)}); allowed: --formats without int8"
        ) from error
    finally:
        prepared.unlink(missing_ok=True)


def label_onnx(path: Path, text: str) -> None:
    """Put a text into the metadata of an ONNX file."""
    import onnx

    model = onnx.load(str(path))
    entry = model.metadata_props.add()
    entry.key, entry.value = KEY, text
    onnx.save(model, str(path))


def _leave_out_notes(path: Path) -> None:
    """Take out what the exporter noted of every node: as large as the network, with paths of the machine."""
    import onnx

    model = onnx.load(str(path))
    graph = model.graph
    for part in (*graph.node, *graph.input, *graph.output, *graph.value_info):
        del part.metadata_props[:]
    onnx.save(model, str(path))
