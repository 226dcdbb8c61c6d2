"""A head whose scores are cosines."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage.errors import UserError, within
from tutelage.models._layers import Staged
from tutelage.models.network import Network, as_network
from tutelage.models.timm_model import Timm
from tutelage.modes import evaluating
from tutelage.types import Output


class AngularHead(Network):
    """Any network with a head of cosines: no bias, classes are directions.

    Trained with :class:`~tutelage.objectives.MarginLabels` this is A-softmax or AM-softmax. The margin belongs
    to the loss; a prediction is a plain linear layer on the embedding (of unit length, with a scale).

    Args:
        classes: output classes; follows from the data.
        shape: one input; follows from the data.
        network: whose head is replaced: a network with stages (such as WideResNet), Timm, or a module of yours
            that returns embeddings [B, D].
        scale: None: logits are |x| cos, as in A-softmax; a number: scale * cos, as in AM-softmax.

    Shapes:
        -> logits [B, classes]; the features of the network's stages, ``embedding`` [B, D], ``cosine`` [B, classes]
        and ``length`` [B, 1], what cosines are multiplied by.

    Raises:
        UserError: the module returns no vector, or the scale is not above 0.

    Source:
        Liu et al. 2017, SphereFace, arXiv:1704.08063 (modified softmax: weights of length 1, no bias); Wang et
        al. 2018, AM-softmax, arXiv:1801.05599 (embeddings of length 1, scale 30).
    """

    def __init__(
        self, classes: int, shape: Sequence[int], *, network: nn.Module, scale: float | None = 30.0
    ) -> None:
        super().__init__()
        within("(0, inf)", scale=scale)
        self.network, self.scale = _headless(network), scale
        self.last = self.network.last
        with evaluating(self.network), torch.no_grad():
            embedding = self._embedded(torch.zeros(1, *shape))[0]
        if embedding.ndim != 2:
            raise UserError(
                f"network: {type(network).__name__} returns {list(embedding.shape)} for one sample; allowed: an "
                "embedding [B, D]"
            )
        self.directions = nn.Parameter(
            nn.init.xavier_normal_(torch.empty(classes, embedding.shape[1]))
        )

    def start(self, other: Network) -> None:
        """Take the weights of a network of the same kind; those of a plain one without its head.

        Raises:
            RuntimeError: it has other layers or sizes.
        """
        if isinstance(other, AngularHead):
            self.load_state_dict(other.state_dict())
            return
        own, theirs = self.network.state_dict(), other.state_dict()
        missing = own.keys() - theirs.keys()
        if missing:
            raise RuntimeError(f"the other network has no {', '.join(sorted(missing)[:3])}")
        self.network.load_state_dict({name: theirs[name] for name in own})

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of standardised inputs."""
        embedding, features = self._embedded(x)
        length = embedding.norm(dim=1, keepdim=True)
        if self.scale is not None:
            length = torch.full_like(length, self.scale)
        cosine = F.linear(F.normalize(embedding, dim=1), F.normalize(self.directions, dim=1))
        named = {"embedding": embedding, "cosine": cosine, "length": length}
        return Output(length * cosine, {**features, **named})

    def _embedded(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        answer = self.network(x)
        if isinstance(answer, Output):
            return answer.logits, dict(answer.features)
        return answer, {}


def _headless(network: nn.Module) -> Network:
    """Return a network that says its embedding where it said its logits."""
    if isinstance(network, Staged):
        network.head = nn.Identity()  # type: ignore[assignment]  # what is before it passes as it is
    elif isinstance(network, Timm):
        model = network.model
        model.reset_classifier(0)  # type: ignore[operator]  # timm's own models have it
    return as_network(network)
