"""A trained network as one ONNX file: from inputs as they are stored to class scores."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, library, one_line
from tutelage.models import On

__all__ = ["PARITY", "export_onnx"]

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
    library("onnxscript", "export", "export")  # torch's exporter needs it
    runtime = library("onnxruntime", "export", "export")
    network.eval()
    example, other = (_random(network, (count, *input_shape)) for count in (2, 3))
    batch = torch.export.Dim("batch", min=1)
    try:
        torch.onnx.export(
            _Scores(network).eval(),
            (example,),
            str(path),
            input_names=["input"],
            output_names=["logits"],
            dynamic_shapes=({0: batch},),
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    except (RuntimeError, torch.onnx.errors.OnnxExporterError) as error:
        raise UserError(
            f"{path}: {type(network.network).__name__} cannot be exported: {one_line(error)}"
        ) from error
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


def _random(network: On, shape: tuple[int, ...]) -> Tensor:
    """Return inputs as large as the stored ones: from the mean up to a deviation above it."""
    values = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    axes = (1, -1) + (1,) * (len(shape) - 2)
    return network.mean.view(axes) + network.std.view(axes) * values


class _Scores(nn.Module):
    """What is deployed of a network: its scores."""

    def __init__(self, network: On) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network.on_tensor(x).logits
