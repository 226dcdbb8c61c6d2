"""One linear layer on an embedding: the baseline of a bottleneck, without concepts."""

from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.models.network import Network
from tutelage.types import Output


class LinearProbe(Network):
    """Class scores as a linear function of an embedding.

    Args:
        channels: size of an embedding.
        classes: output classes.
        normalise: bring every embedding to unit length first.

    Shapes:
        [B, channels] -> logits [B, classes]; feature ``embedding``.

    Source:
        The usual probe of frozen encoders (Radford et al. 2021, arXiv:2103.00020, sec. 3.2), trained by gradient
        as any other network here; :func:`tutelage.vlm.probe.linear_probe` is the published protocol, which
        searches the penalty on validation samples.
    """

    def __init__(self, channels: int, classes: int, *, normalise: bool = False) -> None:
        super().__init__()
        self.normalise = normalise
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Output:
        """Return logits and the embedding."""
        if self.normalise:
            x = F.normalize(x, dim=1)
        return Output(self.head(x), {"embedding": x})
