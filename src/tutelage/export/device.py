"""A network trained with simulated int8 as files hold it: weights on their grid, every learned range marked."""

from typing import Any, Literal

import torch
import torch.ao.quantization.fx._decomposed  # defines the marks
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.errors import UserError
from tutelage.models import On, Quantised
from tutelage.models.quantised.coding import HIGH, LOW, Coding, coded_weight, weight_scale
from tutelage.models.quantised.network import apply
from tutelage.models.quantised.plan import Operation, moved

__all__ = ["DeviceForm"]

_CODES = torch.ops.quantized_decomposed


class DeviceForm(nn.Module):
    """What a device computes of a network, from raw inputs to scores, in the operations it has.

    The standardisation is a depthwise convolution of length 1, as is a normalisation that follows no convolution.
    Every value that is coded passes a pair of operators, quantise and dequantise, with the range that training
    learned: in ONNX that is the format itself; of a TensorFlow Lite file they are taken out again
    (:func:`~tutelage.export.flatbuffer.without_marks`) and given to its quantiser.

    Args:
        network: on a :class:`~tutelage.models.quantised.Quantised`.
        weights: ``values`` on the grid, in floating point; or ``codes``, 8-bit numbers read through an operator.

    Shapes:
        [B, channels, ...] as the data set stores them -> logits [B, C].

    Raises:
        UserError: the network was not trained, so no range is known.
    """

    def __init__(self, network: On, weights: Literal["values", "codes"]) -> None:
        super().__init__()
        plain = network.network
        assert isinstance(plain, Quantised), "other networks have no learned ranges"
        if not plain.ready:
            raise UserError(
                "quantise: the network was not trained, so no range of its activations is known "
                "(allowed: epochs >= 1)"
            )
        self.on, self.plain, self.codes = network, plain, weights == "codes"
        self.marks = {name: plain.coding(name) for name in plain.ranges}
        self.layers = nn.ModuleDict({"read": self._reading(network)})
        for operation in plain.plan.operations:
            if operation.kind in ("convolution", "linear", "norm"):
                self.layers[operation.name] = self._layer(*plain.folded(operation))

    def forward(self, x: Tensor) -> Tensor:
        """Return the scores of raw inputs."""
        plan = self.plain.plan
        x = self._marked("sensed", self.on.cut(x))
        values = {plan.source: self._read(x)}
        for operation in plan.operations:
            result = self._computed(operation, *(values[name] for name in operation.inputs))
            result = F.relu(result) if operation.active else result
            coded = operation.coded
            values[operation.name] = self._marked(operation.name, result) if coded else result
        return values[plan.logits]

    def _reading(self, network: On) -> "_Layer":
        return self._layer((1 / network.std).view(-1, 1, 1, 1), -network.mean / network.std)

    def _layer(self, weight: Tensor, bias: Tensor) -> "_Layer":
        return _Layer(weight.detach(), bias.detach(), self.codes)

    def _read(self, x: Tensor) -> Tensor:
        signal = x.ndim == 3
        read: Any = self.layers["read"]
        x = apply("norm", None, x.unsqueeze(2) if signal else x, read.weight, read.bias)
        x = self._marked("input", x)
        return x.squeeze(2) if signal else x

    def _computed(self, operation: Operation, x: Tensor, *others: Tensor) -> Tensor:
        if operation.kind == "add":
            return x + others[0]
        if operation.kind == "relu":
            return F.relu(x)
        if operation.name not in self.layers:
            return moved(operation, x, self.plain.plain.get_submodule)
        own: Any = self.layers[operation.name]
        return apply(operation.kind, self.plain.layer(operation), x, own.weight, own.bias)

    def _marked(self, name: str, x: Tensor) -> Tensor:
        coding: Coding = self.marks[name]
        ends = (coding.scale, coding.zero_point, LOW, HIGH, torch.int8)
        found: Tensor = _CODES.dequantize_per_tensor(_CODES.quantize_per_tensor(x, *ends), *ends)
        return found


class _Layer(nn.Module):
    """Weights of a layer on their grid, as numbers or as codes, and its bias."""

    stored: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, codes: bool) -> None:
        super().__init__()
        scale = weight_scale(weight)
        values = coded_weight(weight)
        self.codes = codes
        if codes:
            steps = values / scale.view(-1, *[1] * (weight.ndim - 1))
            values = torch.round(steps).to(torch.int8)
        self.register_buffer("stored", values)
        self.register_buffer("scale", scale)
        self.register_buffer("zero", torch.zeros_like(scale, dtype=torch.int64))
        self.register_buffer("bias", bias)

    @property
    def weight(self) -> Tensor:
        """The weights."""
        if not self.codes:
            return self.stored
        found: Tensor = _CODES.dequantize_per_channel(
            self.stored, self.scale, self.zero, 0, -HIGH, HIGH, torch.int8
        )
        return found
