"""Image features that ask the embeddings of the classes."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Attention:
    """Sizes of an :class:`EduAttention`.

    Args:
        width: size of queries and keys; the embedding's unless given.
        divisor: of the scores before the softmax over classes; the square root of ``width`` unless given.

    Raises:
        ValueError: a width or a divisor that is not positive.
    """

    width: int | None = None
    divisor: float | None = None

    def __post_init__(self) -> None:
        if self.width is not None and self.width < 1:
            raise ValueError(f"width: {self.width}; allowed: at least 1, or null")
        if self.divisor is not None and self.divisor <= 0:
            raise ValueError(f"divisor: {self.divisor}; allowed: above 0, or null")


class EduAttention(nn.Module):
    """Cross attention from image features to class embeddings, added with a learned scale that begins at 0.

    At the start it changes nothing, bit for bit, and only ``scale`` gets a gradient other than zero.

    Args:
        embed_dim: D, of image features and class embeddings.
        attention: sizes.

    Shapes:
        image features [B, D] and class embeddings [N, D] -> features [B, D] and attention [B, N], whose rows sum
        to one.

    Source:
        Chen et al. 2024, ComKD-CLIP, arXiv:2408.04145, EduAttention: FC layers around attention, scale ``alpha``
        initialised to 0, ``C`` a hyperparameter (here ``divisor``). What is query, key and value, how many layers
        and the value of C could not be read; this is the plain reading, one linear layer with bias each.
    """

    def __init__(self, embed_dim: int, attention: Attention | None = None) -> None:
        super().__init__()
        attention = attention or Attention()
        width = attention.width or embed_dim
        self.divisor = attention.divisor or math.sqrt(width)
        self.query = nn.Linear(embed_dim, width)
        self.key = nn.Linear(embed_dim, width)
        self.value = nn.Linear(embed_dim, embed_dim)
        self.out = nn.Linear(embed_dim, embed_dim)
        self.scale = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Return the features with what they read of the classes, and how much of each class they read."""
        # A few small products: in full precision also under autocast, so that rows sum to one.
        with torch.autocast(image.device.type, enabled=False):
            image, classes = image.float(), classes.float()
            scores = self.query(image) @ self.key(classes).mT / self.divisor
            attention = scores.softmax(dim=1)
            read: Tensor = self.out(attention @ self.value(classes))
            return image + self.scale * read, attention
