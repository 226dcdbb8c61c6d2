"""What networks share that classify in the space of a frozen dual encoder."""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import ClassVar, Self

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.models.network import Network
from tutelage.vlm.base import DualEncoder, EncoderSource
from tutelage.vlm.prompts import Prompts
from tutelage.vlm.reference import by_reference

__all__ = ["Clip", "unit"]


class Clip(Network):
    """Class scores as cosines between an input and one embedding per class, times a scale.

    Inputs are read as the data set gives them, images in [0, 1]; resizing and standardisation are the encoder's. A
    checkpoint holds what is trained and the hash of the encoder, not the encoder.

    Args:
        class_names: N names.
        source: where the dual encoder is.
        change: what becomes of the encoder after loading, such as dropping its text tower.
    """

    as_is: ClassVar[bool] = True
    scale: Tensor

    def __init__(
        self,
        class_names: Sequence[str],
        source: EncoderSource,
        change: Callable[[DualEncoder], DualEncoder] = lambda encoder: encoder,
    ) -> None:
        super().__init__()
        self.class_names = tuple(class_names)
        with torch.random.fork_rng(devices=[]):  # what loading draws must not decide how we begin
            self.encoder = change(source.load()).eval().requires_grad_(False)
        by_reference(self.encoder, source.fingerprint)
        self.vision: Prompts | None = None

    @abstractmethod
    def class_embeddings(self) -> Tensor:
        """Return the unit embedding of every class, [N, D], without gradient."""

    def train(self, mode: bool = True) -> Self:
        """Set the mode of everything but the encoder, which stays in evaluation mode."""
        super().train(mode)
        self.encoder.eval()
        return self

    def embedded(self, prepared: Tensor) -> Tensor:
        """Return the embeddings of prepared inputs, [B, D], with the prompts of the image tower."""
        with self.vision.within(self.encoder.image_tower()) if self.vision else nullcontext():
            return self.encoder.encode_inputs(prepared)

    def scores(self, image: Tensor, classes: Tensor) -> Tensor:
        """Return the scores of unit embeddings, [B, N]."""
        with torch.autocast(image.device.type, enabled=False):
            return self.scale * image @ classes.mT


def unit(x: Tensor) -> Tensor:
    """Return vectors of norm 1, in float32."""
    with torch.autocast(x.device.type, enabled=False):
        return F.normalize(x.float(), dim=1)
