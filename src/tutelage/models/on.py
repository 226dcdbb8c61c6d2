"""A network on one modality, with the crop and the standardisation it was trained with."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tutelage.models.network import Network, as_network
from tutelage.types import Batch, Output


class On(nn.Module):
    """Picks one modality out of a batch, crops and standardises it and runs a network.

    The statistics and the crop are buffers: they are saved, loaded and exported with the network, so that
    no evaluation can prepare its inputs differently from training.

    Args:
        modality: name of the input, for example ``signal``.
        network: from standardised tensors to :class:`~tutelage.types.Output`; a plain module becomes a
            :class:`~tutelage.models.Network`.
        mean: per input channel, in the units of the stored input.
        std: per input channel, > 0, same units.
        crop: axes after the channels that are longer than this many pixels (samples) are cut to their
            centre; shorter ones stay, as what a random crop has cut already. None: no crop.

    Shapes:
        ``batch.inputs[modality]`` [B, channels, ...] of any dtype -> Output.

    Raises:
        ValueError: lengths differ, a standard deviation is not positive, or a crop of nothing.
    """

    mean: Tensor
    std: Tensor
    network: Network

    def __init__(
        self,
        modality: str,
        network: nn.Module,
        mean: Sequence[float] | Tensor,
        std: Sequence[float] | Tensor,
        crop: int | None = None,
    ) -> None:
        super().__init__()
        self.modality = modality
        self.network = as_network(network)
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32).clone())
        self.register_buffer("std", torch.as_tensor(std, dtype=torch.float32).clone())
        if self.mean.shape != self.std.shape:
            raise ValueError(f"mean has {len(self.mean)} channels, std has {len(self.std)}")
        if not bool((self.std > 0).all()):
            raise ValueError(f"std: {self.std.tolist()} must be positive in every channel")
        if crop is not None and crop < 1:
            raise ValueError(f"crop: {crop} must be at least 1")
        self.crop = crop
        if crop is not None:  # as a buffer, it is part of every hash of the network's state
            self.register_buffer("cropped", torch.tensor(crop))

    def cut(self, x: Tensor) -> Tensor:
        """Return the centre of an input, [B, channels, ...]; a view."""
        if self.crop is not None:
            for axis in range(2, x.ndim):
                spare = x.shape[axis] - self.crop
                if spare > 0:
                    x = x.narrow(axis, round(spare / 2), self.crop)
        return x

    def seen(self, shape: Sequence[int]) -> list[int]:
        """Return the shape of one input after the crop, without the batch axis."""
        channels, *rest = shape
        return [channels, *(size if self.crop is None else min(size, self.crop) for size in rest)]

    def standardise(self, x: Tensor) -> Tensor:
        """Return (x - mean) / std per channel, float32."""
        shape = (1, -1) + (1,) * (x.ndim - 2)
        return (x.float() - self.mean.view(shape)) / self.std.view(shape)

    def forward(self, batch: Batch) -> Output:
        """Return logits and features of a batch."""
        return self.on_tensor(batch.inputs[self.modality])

    def on_tensor(self, x: Tensor) -> Output:
        """Return logits and features of a bare input tensor, [B, channels, ...]."""
        x = self.prepared(x)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        output: Output = self.network(x)
        return output

    def prepared(self, x: Tensor) -> Tensor:
        """Return what the network itself sees of a bare input tensor: cut, sensed and standardised."""
        x = self.cut(x)
        return self.standardise(self.network.sense(x, self.mean.view(1, -1, *[1] * (x.ndim - 2))))
