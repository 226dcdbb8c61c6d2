"""A network that is trained as a device will compute it."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.models.network import Network, as_network
from tutelage.models.quantised.coding import HIGH, Coding, ValueRange, coded_bias, coded_weight
from tutelage.models.quantised.plan import Operation, make_plan, moved
from tutelage.types import Output

__all__ = ["Quantised"]


class Quantised(Network):
    """A network whose weights and activations are those of an int8 file, simulated while it is trained.

    Weights are coded per output channel, symmetric (-127 to 127); activations per tensor, asymmetric;
    biases with 32 bits. A batch normalisation stands in its convolution; one that follows no convolution is a
    depthwise one of length 1. So it predicts, and is trained, from the batch after ``settle`` on.

    In the first ``settle`` batches of training the network learns in floating point, with the statistics of each
    batch, while the ranges of all activations follow as moving averages. Then ranges and running statistics are
    frozen. In evaluation it always computes what the file computes.

    Args:
        network: what is trained.
        settle: batches before ranges and statistics are frozen, >= 1.

    Shapes:
        as ``network``; features are coded, too.

    Raises:
        ValueError: ``network`` does what is not simulated, takes something from teachers or samples before it is
            trained, or ``settle`` < 1.

    Source:
        Jacob et al. 2018, Quantization and training of neural networks for efficient integer-arithmetic-only
        inference, arXiv:1712.05877, sec. 3: delayed coding, moving averages of ranges, folded normalisation;
        frozen statistics as in Krishnamoorthi 2018, arXiv:1806.08342, sec. 3.2. Straight-through gradients.
    """

    batches: Tensor

    def __init__(self, *, network: nn.Module, settle: int = 50) -> None:
        super().__init__()
        if settle < 1:
            raise ValueError(f"settle: {settle}; allowed: 1 or more batches")
        self.plain, self.settle = as_network(network), settle
        self.last = self.plain.last
        kind = type(self.plain)
        if kind.adopts() or kind.fits_labels() or kind.as_is:
            raise ValueError(
                f"{kind.__name__} takes something from teachers, samples or encoders, which is not simulated as "
                "int8 (allowed: a network that its description builds)"
            )
        self.plan = make_plan(self.plain)
        coded = [operation.name for operation in self.plan.operations if operation.coded]
        self.ranges = nn.ModuleDict({name: ValueRange() for name in ("sensed", "input", *coded)})
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))

    @property
    def observing(self) -> bool:
        """Whether ranges and statistics still follow the batches."""
        return self.training and int(self.batches) < self.settle

    @property
    def ready(self) -> bool:
        """Whether ranges were seen: before its first batch it computes in floating point."""
        return int(self.batches) > 0

    @property
    def exact(self) -> bool:
        """Whether sums are exact, as a device's are.

        In float32 a sum near the border of two codes may fall on the other side; deep networks make much of it.
        """
        return self.ready and not self.training

    def start(self, other: Network) -> None:
        """Begin with the weights of the plain network, or of another one that is simulated.

        Raises:
            RuntimeError: it has other layers or sizes.
        """
        if isinstance(other, Quantised):
            self.load_state_dict(other.state_dict())
        else:
            self.plain.start(other)

    def sense(self, x: Tensor, mean: Tensor) -> Tensor:
        """Return raw inputs as int8 codes stand for them, moved by what a device's rounded mean differs."""
        x = self._coded("sensed", x.float())
        if self.observing or not self.ready:
            return x
        # The mean is the 32-bit bias of a depthwise convolution whose weights are code 127 each.
        step = self._range("sensed").parameters_of_codes()[0] / HIGH
        return x + (mean - torch.round(mean / step) * step)

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        observing, plan = self.observing, self.plan
        if self.exact:
            x = x.double()
        values = {plan.source: self._coded("input", x)}
        for operation in plan.operations:
            result = self._computed(operation, *(values[name] for name in operation.inputs))
            if operation.active:
                result = F.relu(result)
            values[operation.name] = (
                self._coded(operation.name, result) if operation.coded else result
            )
        if observing:
            self.batches += 1
        features = {name: values[value].float() for name, value in plan.features.items()}
        return Output(values[plan.logits].float(), features)

    def folded(self, operation: Operation) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a layer with its batch normalisation, before they are coded.

        A normalisation of its own is a depthwise convolution, [channels, 1, 1, 1].
        """
        layer: Any = self.plain.get_submodule(operation.layer)
        if operation.kind == "norm":
            gain, bias = _affine(layer)
            return gain.view(-1, 1, 1, 1), bias
        bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        if not operation.norm:
            return layer.weight, bias
        gain, shift = _affine(self.plain.get_submodule(operation.norm))
        return layer.weight * gain.view(-1, *[1] * (layer.weight.ndim - 1)), bias * gain + shift

    def coding(self, name: str) -> Coding:
        """Return how a value is coded: ``sensed`` (raw), ``input`` (standardised), or a result of an operation."""
        return self._range(name).coding()

    def layer(self, operation: Operation) -> Any:
        """Return the module of a convolution or a linear layer."""
        return self.plain.get_submodule(operation.layer)

    def _coded(self, name: str, x: Tensor) -> Tensor:
        found = self._range(name)
        if self.observing:
            found.observe(x)
            return x
        if self.ready:
            x = found(x)
        return x

    def _computed(self, operation: Operation, x: Tensor, *others: Tensor) -> Tensor:
        if operation.kind == "add":
            return x + others[0]
        if operation.kind == "relu":
            return F.relu(x)
        if operation.kind not in ("convolution", "linear", "norm"):
            return moved(operation, x, self.plain.get_submodule)
        if self.observing:
            x = self.plain.get_submodule(operation.layer)(x)
            if operation.norm:
                x = self.plain.get_submodule(operation.norm)(x)
            return x
        weight, bias = self.folded(operation)
        if self.ready:
            bias = coded_bias(bias, weight, self._scale_of(operation.inputs[0]))
            weight = coded_weight(weight)
        if self.exact:
            weight, bias = weight.double(), bias.double()
        return apply(operation.kind, self.layer(operation), x, weight, bias)

    def _scale_of(self, name: str) -> Tensor:
        """Return the scale of a value; what only moves numbers keeps that of its input."""
        if name == self.plan.source:
            name = "input"
        while name not in self.ranges:
            name = next(o.inputs[0] for o in self.plan.operations if o.name == name)
            name = "input" if name == self.plan.source else name
        scale, _ = self._range(name).parameters_of_codes()
        return scale

    def _range(self, name: str) -> ValueRange:
        found = self.ranges[name]
        assert isinstance(found, ValueRange), "nothing else is kept there"
        return found


def apply(kind: str, layer: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return what a layer makes of a value with other weights and biases than its own."""
    if kind == "linear":
        return F.linear(x, weight, bias)
    if kind == "norm":
        return F.conv2d(x, weight, bias, groups=len(weight))
    return F.conv2d(x, weight, bias, layer.stride, layer.padding, layer.dilation, layer.groups)


def _affine(norm: Any) -> tuple[Tensor, Tensor]:
    """Return gain and shift of a batch normalisation by its running statistics."""
    gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    return gain, norm.bias - norm.running_mean * gain
