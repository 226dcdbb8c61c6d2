"""What a concept looks like: the samples that are most about it, and where in them it is."""

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage.interpret.network import asking
from tutelage.interpret.places import enlarged
from tutelage.models import Network
from tutelage.types import ConceptStream


def concept_scores(network: Network, inputs: Iterable[Tensor]) -> dict[str, Tensor]:
    """Return how much each sample is about each concept: its attention summed over places.

    Args:
        network: explains itself.
        inputs: batches of standardised inputs, [B, channels, ...] each.

    Returns:
        stream -> [n, M], on the CPU.

    Source:
        jyhong0304/concept_centric_transformers, ``vis_cub.py``.
    """
    found: dict[str, list[Tensor]] = {}
    with asking(network):
        for x in inputs:
            # Attention does not depend on the class: one class is enough.
            explanation = network.explain(x, torch.zeros(1, dtype=torch.long, device=x.device))
            for name, stream in explanation.streams.items():
                found.setdefault(name, []).append(stream.attention.sum(dim=1).cpu())
    return {name: torch.cat(parts) for name, parts in found.items()}


def gallery(scores: Tensor, top: int) -> Tensor:
    """Return the samples that are most about each concept, the best first.

    Args:
        scores: [n, M].
        top: samples for each concept; all of them where there are fewer.

    Returns:
        Row numbers, [M, top]; of equal scores the earlier sample comes first.
    """
    return scores.argsort(dim=0, descending=True, stable=True)[:top].T


def heat_maps(stream: ConceptStream, size: Sequence[int], *, floor: float = 0.5) -> Tensor:
    """Return where in each input each concept is, as maps over pixels or time to lay over it.

    The attention of a sample is scaled to 0 to 1, over all its places and concepts together, so that concepts
    may be compared; what is not above ``floor`` becomes 0.

    Args:
        stream: attention of a batch, with its places.
        size: positions of the input along each axis.
        floor: from 0 to 1; 0 shows everything.

    Returns:
        [B, M, *size], from 0 to 1.

    Source:
        jyhong0304/concept_centric_transformers, ``vis_cub.py``: floor 0.5, bilinear.
    """
    attention = stream.attention
    low, high = (f(attention, dim=(1, 2), keepdim=True) for f in (torch.amin, torch.amax))
    scaled = (attention - low) / (high - low).clamp_min(torch.finfo(attention.dtype).tiny)
    kept = torch.where(scaled > floor, scaled, 0.0)
    maps = kept.transpose(1, 2).reshape(len(kept), -1, *stream.space)
    return enlarged(maps, size)


def spotlight(
    stream: ConceptStream, size: Sequence[int], *, active: float = 0.6, dim: float = 0.4
) -> Tensor:
    """Return how brightly to show each position: fully at places that are about some concept, dimmed elsewhere.

    Args:
        stream: attention of a batch, with its places.
        size: positions of the input along each axis.
        active: a place is lit when its largest attention is above this.
        dim: brightness of the others, from 0 to 1.

    Returns:
        [B, *size], from ``dim`` to 1.

    Source:
        jyhong0304/concept_centric_transformers, ``plot_cub_expl``.
    """
    lit = torch.where(stream.attention.amax(dim=2) > active, 1.0, dim)
    return enlarged(lit.view(len(lit), 1, *stream.space), size)[:, 0]


def overlay(
    image: NDArray[np.uint8],
    heat: NDArray[np.floating],
    *,
    colours: Literal["viridis", "magma", "inferno", "jet"] = "inferno",
    opacity: float = 0.4,
) -> NDArray[np.uint8]:
    """Return an image with a heat map laid over it in colours.

    Args:
        image: [3, height, width], RGB.
        heat: [height, width], from 0 to 1.
        colours: name of the colour map; ``jet`` is that of the published figures.
        opacity: of the colours, from 0 to 1.

    Returns:
        [3, height, width] uint8.

    Raises:
        ValueError: image and heat map differ in size.
    """
    import matplotlib

    if image.shape[1:] != heat.shape:
        raise ValueError(
            f"image of {list(image.shape[1:])} and heat map of {list(heat.shape)} pixels; allowed: one size"
        )
    painted = matplotlib.colormaps[colours](np.clip(heat, 0, 1))[..., :3].transpose(2, 0, 1)
    mixed = (1 - opacity) * image + opacity * 255 * painted
    found: NDArray[np.uint8] = np.rint(mixed).astype(np.uint8)
    return found
