"""A network on one modality, with the standardisation it was trained with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutelage.types import Batch, Output


class On(nn.Module):
    """Picks one modality out of a batch, standardises it and runs a network.

    The statistics are buffers: they are saved, loaded and exported with the network, so that no
    evaluation can normalise its inputs differently from training.

    Args:
        modality: name of the input, for example ``signal``.
        network: from standardised tensors to :class:`~tutelage.types.Output`.
        mean: per input channel, in the units of the stored input.
        std: per input channel, > 0, same units.

    Shapes:
        ``batch.inputs[modality]`` [B, channels, ...] of any dtype -> Output.

    Raises:
        ValueError: lengths differ, or a standard deviation is not positive.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        modality: str,
        network: nn.Module,
        mean: Sequence[float] | Tensor,
        std: Sequence[float] | Tensor,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.network = network
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).clone())
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).clone())
        if self.mean.shape != self.std.shape:
            raise ValueError(f"mean has {len(self.mean)} channels, std has {len(self.std)}")
        if not bool((self.std > 0).all()):
            raise ValueError(f"std: {self.std.tolist()} must be positive in every channel")

    def standardise(self, x: Tensor) -> Tensor:
        """Return (x - mean) / std per channel, float32."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return (x.float() - self.mean.view(shape)) / self.std.view(shape)

    def forward(self, batch: Batch) -> Output:
        """Return logits and features of a batch."""
        return self.on_tensor(batch.inputs[self.modality])

    def on_tensor(self, x: Tensor) -> Output:
        """Return logits and features of a bare input tensor, [B, channels, ...]."""
        x = self.standardise(x)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        output: Output = self.network(x)
        return output
