"""What a map of an explanation looks like: whether it points at an object, and on how little it rests."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def pointing_game(maps: Tensor, inside: Tensor, *, tolerance: float = 0.0) -> Tensor:
    """Return whether the highest place of a map lies in an object, [B].

    Where several places are the highest, it is the part of them that lies inside. So a map that is the same
    everywhere gets what chance gives: ``pointing_game(torch.zeros_like(maps), inside)``.

    Args:
        maps: what each place adds, [B, *space], on one or two axes.
        inside: the places of the object, [B, *space] bool.
        tolerance: a place this near to the object (Euclidean, in places) is a hit, too.

    Returns:
        0 to 1; NaN where there is no object.

    Raises:
        ValueError: the shapes differ; the tolerance is below 0.

    Source:
        Zhang et al. 2016, Top-down Neural Attention by Excitation Backprop, arXiv:1608.00507; with a
        tolerance of 15 pixels, and their accuracy is the mean over samples of each class.

    Examples:
        >>> pointing_game(torch.tensor([[1.0, 3.0, 3.0]]), torch.tensor([[True, True, False]]))
        tensor([0.5000])
    """
    if maps.shape != inside.shape:
        raise ValueError(
            f"maps {list(maps.shape)} and objects {list(inside.shape)} differ; allowed: one shape"
        )
    if not tolerance >= 0:
        raise ValueError(f"tolerance: {tolerance}; allowed: 0 or more")
    flat = maps.flatten(1)
    highest = flat == flat.amax(dim=1, keepdim=True)
    hits = highest & _widened(inside, tolerance).flatten(1)
    found = hits.sum(dim=1) / highest.sum(dim=1)
    return torch.where(inside.flatten(1).any(dim=1), found, torch.nan)


def _widened(inside: Tensor, tolerance: float) -> Tensor:
    """Return the places that are at most so far from the object."""
    reach = math.floor(tolerance)
    if not reach:
        return inside
    axes = inside.ndim - 1
    steps = torch.arange(-reach, reach + 1, device=inside.device).float()
    distance = sum(d.square() for d in torch.meshgrid(*[steps] * axes, indexing="ij"))
    assert isinstance(distance, Tensor)
    near = (distance <= tolerance**2).float()[None, None]
    convolved = (F.conv1d if axes == 1 else F.conv2d)(inside[:, None].float(), near, padding=reach)
    return convolved[:, 0] > 0.5  # whole numbers, up to rounding


def sparseness(maps: Tensor) -> Tensor:
    """Return on how few places a map rests: the Gini coefficient of its absolute values, [B].

    Args:
        maps: a number for each of n places, or entries, [B, ...].

    Returns:
        0 where all are equal, 1 - 1/n where one has everything; NaN where all are zero.

    Source:
        Chalasani et al. 2020, Concise Explanations of Neural Networks using Adversarial Training,
        arXiv:1810.06583.

    Examples:
        >>> sparseness(torch.tensor([[0.0, -2.0, 0.0, 0.0], [1.0, 1.0, -1.0, 1.0]]))
        tensor([0.7500, 0.0000])
    """
    sizes = maps.flatten(1).abs().sort(dim=1).values
    count = sizes.shape[1]
    weight = 2 * torch.arange(1, count + 1).to(sizes) - count - 1
    return (weight * sizes).sum(dim=1) / (count * sizes.sum(dim=1))


def complexity(maps: Tensor) -> Tensor:
    """Return over how many places a map spreads: the entropy of its absolute values, in nats, [B].

    Args:
        maps: a number for each of n places, or entries, [B, ...].

    Returns:
        0 where one has everything, log n where all are equal; NaN where all are zero.

    Source:
        Bhatt, Weller, Moura 2020, Evaluating and Aggregating Feature-based Model Explanations, arXiv:2005.00631.

    Examples:
        >>> complexity(torch.tensor([[0.0, -2.0], [1.0, 1.0]]))
        tensor([0.0000, 0.6931])
    """
    sizes = maps.flatten(1).abs()
    shares = sizes / sizes.sum(dim=1, keepdim=True)
    entropy: Tensor = torch.special.entr(shares).sum(dim=1)
    return entropy
