"""How a device codes numbers as int8, simulated: values on the grid of codes, with gradients that pass."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["HIGH", "LOW", "Coding", "ValueRange", "coded_bias", "coded_weight", "weight_scale"]

LOW, HIGH = -128, 127
_RATE = 0.05  # of the moving average, once it has seen 1 / rate batches
_NARROW = 1e-9  # no range is narrower: a scale is above 0


@dataclass(frozen=True)
class Coding:
    """How the values of one tensor are coded: ``value = scale * (code - zero_point)``.

    Args:
        scale: of a code.
        zero_point: the code of 0.
    """

    scale: float
    zero_point: int

    @property
    def least(self) -> float:
        """The value of the lowest code."""
        return self.scale * (LOW - self.zero_point)

    @property
    def greatest(self) -> float:
        """The value of the highest code."""
        return self.scale * (HIGH - self.zero_point)


class ValueRange(nn.Module):
    """The range of one activation: a moving average of least and greatest value, 0 inside, and its int8 codes.

    Shapes:
        any -> the same, on the grid of 256 codes; outside the range clipped, and without gradient there.
    """

    low: Tensor
    high: Tensor
    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("low", torch.zeros(()))
        self.register_buffer("high", torch.zeros(()))
        self.register_buffer("seen", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Let a batch move the range: the plain mean of the first batches, then a moving average."""
        least, greatest = torch.aminmax(x.detach().float())
        self.seen += 1
        rate = (1.0 / self.seen).clamp_min(_RATE)
        self.low += rate * (least.clamp_max(0.0) - self.low)
        self.high += rate * (greatest.clamp_min(0.0) - self.high)

    def parameters_of_codes(self) -> tuple[Tensor, Tensor]:
        """Return scale (float32) and zero point (int32), as AI Edge Quantizer takes them from a range."""
        scale = (self.high - self.low).clamp_min(_NARROW) / (HIGH - LOW)
        zero = torch.round(LOW - self.low / scale).clamp(LOW, HIGH)
        return scale, zero.to(torch.int32)

    def coding(self) -> Coding:
        """Return scale and zero point as numbers."""
        scale, zero = self.parameters_of_codes()
        return Coding(float(scale), int(zero))

    def forward(self, x: Tensor) -> Tensor:
        """Return values on the grid; the gradient passes where nothing was clipped."""
        scale, zero = self.parameters_of_codes()
        return torch.fake_quantize_per_tensor_affine(x, scale, zero, LOW, HIGH)


def weight_scale(weight: Tensor) -> Tensor:
    """Return the scale of each output channel, [fan_out]: its largest magnitude is code 127."""
    largest = weight.detach().abs().amax(dim=tuple(range(1, weight.ndim)))
    return largest.clamp_min(_NARROW) / HIGH


def coded_weight(weight: Tensor) -> Tensor:
    """Return weights [fan_out, ...] on the grid of their channel: -127 to 127, symmetric; gradients pass."""
    scale = weight_scale(weight)
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight, scale, zero, 0, -HIGH, HIGH)


def coded_bias(bias: Tensor, weight: Tensor, scale: Tensor) -> Tensor:
    """Return biases [fan_out] as 32-bit codes stand for them; gradients pass.

    Args:
        bias: of the layer.
        weight: of the layer, before it is coded.
        scale: of the layer's input.
    """
    step = scale.detach() * weight_scale(weight)
    return bias + (torch.round(bias.detach() / step) * step - bias.detach())
