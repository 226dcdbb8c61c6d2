"""Features of two networks brought to one shape of space, so that positions can be compared."""

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from tutelage.types import Output


def feature(output: Output, tap: str) -> Tensor:
    """Return a tap of an output.

    Raises:
        ValueError: there is no such tap; the sentence names those there are.
    """
    if tap not in output.features:
        raise ValueError(f"no feature {tap!r} (there are: {', '.join(sorted(output.features))})")
    return output.features[tap]


def same_space(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Bring two feature maps to the same positions; channels stay as they are.

    Args:
        student: [B, c, ...] with no (a vector), one (time) or two (height, width) axes of space.
        teacher: [B, c', ...], likewise.

    Returns:
        Both with the same axes of space, as :func:`same_axes` gives them; then each axis of the larger map
        is pooled (adaptive average) to the smaller.

    Raises:
        ValueError: a feature has fewer than two or more than four axes.

    Source:
        Pooling the larger map is the rule of RepDistiller's attention transfer; the rule between one
        and two dimensions is ours.

    Examples:
        >>> import torch
        >>> s, t = same_space(torch.zeros(2, 16, 128), torch.zeros(2, 48, 24, 32))
        >>> s.shape, t.shape
        (torch.Size([2, 16, 32]), torch.Size([2, 48, 32]))
    """
    student, teacher = same_axes(student, teacher)
    size = [min(s, t) for s, t in zip(student.shape[2:], teacher.shape[2:], strict=True)]
    return pooled(student, size), pooled(teacher, size)


def same_axes(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Give two feature maps the same number of axes; the size of an axis stays as it is.

    Args:
        student: [B, c, ...] with no (a vector), one (time) or two (height, width) axes of space.
        teacher: [B, c', ...], likewise.

    Returns:
        Both, where a map with more axes loses them by averaging: an image's height goes first, because the
        width of an image made from a signal is time (Gramian field) or birth (persistence image).

    Raises:
        ValueError: a feature has fewer than two or more than four axes.

    Source:
        Ours.
    """
    for feature in (student, teacher):
        if not 2 <= feature.ndim <= 4:
            raise ValueError(
                f"a feature of shape {list(feature.shape)} has no known axes of space "
                "(allowed: [B, channels], [B, channels, time], [B, channels, height, width])"
            )
    while student.ndim != teacher.ndim:
        if student.ndim > teacher.ndim:
            student = student.mean(dim=2)
        else:
            teacher = teacher.mean(dim=2)
    return student, teacher


def same_positions(student: Tensor, teacher: Tensor) -> tuple[Tensor, Tensor]:
    """Return :func:`same_space` of two feature maps, for losses that compare where a network looks.

    Raises:
        ValueError: fewer than two positions are left: a map of one position says nothing.
    """
    s, t = same_space(student, teacher)
    if math.prod(s.shape[2:]) < 2:
        raise ValueError(
            f"features of shapes {list(student.shape)} and {list(teacher.shape)} have one position in "
            "common (allowed: at least two; take a tap before the last pooling)"
        )
    return s, t


def pooled(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return a feature map with space of this size, by adaptive averaging (a larger size repeats values)."""
    if list(x.shape[2:]) == list(size):
        return x
    if x.ndim == 3:
        return F.adaptive_avg_pool1d(x, size[0])
    return F.adaptive_avg_pool2d(x, (size[0], size[1]))


def onto(x: Tensor, size: Sequence[int]) -> Tensor:
    """Return a feature map laid over positions of another size, whichever of the two is larger.

    Args:
        x: [B, c, time] or [B, c, height, width].
        size: wanted space: (time,) or (height, width).

    Returns:
        [B, c, *size]. An axis that is too long is pooled (adaptive average), one that is too short interpolated
        linearly. An image loses its height by averaging where only time is wanted; a signal is repeated over
        the height of an image, because the width of an image made from a signal is time or birth.

    Raises:
        ValueError: the map or the wanted space has neither one axis nor two.

    Source:
        Pooling down and bilinear up is the rule of CA-MKD, which knows square images only; the rest is ours.

    Examples:
        >>> import torch
        >>> onto(torch.zeros(2, 16, 32), (6, 8)).shape
        torch.Size([2, 16, 6, 8])
    """
    if not (3 <= x.ndim <= 4 and 1 <= len(size) <= 2):
        raise ValueError(
            f"a feature of shape {list(x.shape)} cannot be laid over positions of size {list(size)} "
            "(allowed: [B, channels, time] or [B, channels, height, width] over one axis or two)"
        )
    if x.ndim - 2 > len(size):
        x = x.mean(dim=2)
    own = list(size)[-(x.ndim - 2) :]
    x = pooled(x, [min(n, m) for n, m in zip(x.shape[2:], own, strict=True)])
    if list(x.shape[2:]) != own:
        x = F.interpolate(x, size=own, mode="linear" if x.ndim == 3 else "bilinear")
    return x if x.ndim - 2 == len(size) else x.unsqueeze(2).expand(-1, -1, size[0], -1)
