"""Does an explanation say what the network does? Sums against scores, claims against concepts taken away."""

from dataclasses import dataclass

import torch
from torch import Tensor

from tutelage.interpret.network import asking, of_class, predicted
from tutelage.models import Network
from tutelage.types import ConceptStream


def additivity(network: Network, x: Tensor) -> Tensor:
    """Return how far the contributions are from summing up to the logits, the largest error of each sample, [B].

    Args:
        network: explains itself.
        x: standardised inputs, [B, channels, ...].
    """
    with asking(network):
        return (network.explain(x).logits - network(x).logits).abs().amax(dim=1)


@dataclass(frozen=True)
class Ablation:
    """What the concepts of one stream claim to add to a class, and what is lost without them.

    Args:
        names: M concepts.
        claimed: contribution of each concept to the score of the class, all places together, [B, M].
        lost: fall of that score when the concept's value is zero, [B, M].
        before: probability of the class, [B].
        after: its probability without the concept, [B, M].
        turned: the prediction is another one without the concept, [B, M].
    """

    names: tuple[str, ...]
    claimed: Tensor
    lost: Tensor
    before: Tensor
    after: Tensor
    turned: Tensor

    @property
    def error(self) -> Tensor:
        """Largest difference between claim and loss of each sample, [B]."""
        return (self.claimed - self.lost).abs().amax(dim=1)


def ablate(network: Network, x: Tensor, classes: Tensor | None = None) -> dict[str, Ablation]:
    """Take each concept away and compare what is lost with what its explanation claims.

    Attention stays as it was, so in a network that is linear in its concepts both are equal up to rounding.

    Args:
        network: explains itself.
        x: standardised inputs, [B, channels, ...].
        classes: whose score is looked at, [B]; the predicted ones unless given.

    Returns:
        stream -> ablation.

    Source:
        Erasure as a test of faithfulness: DeYoung et al. 2020, arXiv:1911.03429, sec. 4.3.
    """
    classes = predicted(network, x) if classes is None else classes
    with asking(network):
        whole = network(x).logits
        explanation = network.explain(x, classes[:, None])
        return {
            name: _ablated(network, x, classes, whole, name, stream)
            for name, stream in explanation.streams.items()
        }


def _ablated(
    network: Network, x: Tensor, classes: Tensor, whole: Tensor, name: str, stream: ConceptStream
) -> Ablation:
    """Take each concept of one stream away.

    Args:
        network: explains itself.
        x: standardised inputs.
        classes: whose score is looked at, [B].
        whole: logits with all concepts, [B, N].
        name: of the stream.
        stream: its contributions to that class alone, [B, L, M, 1].
    """
    score, first = of_class(whole, classes), whole.argmax(dim=1)
    lost, after, turned = [], [], []
    for concept in range(len(stream.names)):
        logits = network.without(x, name, concept)
        lost.append(score - of_class(logits, classes))
        after.append(of_class(torch.softmax(logits, dim=1), classes))
        turned.append(logits.argmax(dim=1) != first)
    return Ablation(
        stream.names,
        stream.contributions.sum(dim=(1, 3)),
        torch.stack(lost, dim=1),
        of_class(torch.softmax(whole, dim=1), classes),
        torch.stack(after, dim=1),
        torch.stack(turned, dim=1),
    )
