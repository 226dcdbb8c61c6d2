"""Features compared value by value."""

from torch import Tensor
from torch.nn import functional

from tutelage.losses.precision import full


def mean_square(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two features of one shape.

    Args:
        student: [B, ...].
        teacher: [B, ...], the same shape; no gradient flows here.

    Returns:
        [B]: the mean over everything but the batch.

    Raises:
        ValueError: the shapes differ.

    Source:
        Romero et al. 2015, FitNets, arXiv:1412.6550: the hint loss. Its 1/2 and sum are here a mean, as in
        RepDistiller.
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's feature has shape {list(student.shape)}, the teacher's {list(teacher.shape)} "
            "(allowed: equal shapes)"
        )
    return (full(student) - full(teacher.detach())).square().flatten(1).mean(dim=1)


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """One minus the cosine between two features of one shape, each taken as one vector.

    Args:
        student: [B, ...].
        teacher: [B, ...], the same shape; no gradient flows here.

    Returns:
        [B], in [0, 2]; 1 where one of both is 0. The size of either feature does not count.

    Raises:
        ValueError: the shapes differ.

    Source:
        Ours, as an alternative to :func:`mean_square` where the sizes of features differ between teachers.

    Examples:
        >>> import torch
        >>> cosine_distance(torch.tensor([[1.0, 0.0]]), torch.tensor([[3.0, 3.0]]))
        tensor([0.2929])
    """
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's feature has shape {list(student.shape)}, the teacher's {list(teacher.shape)} "
            "(allowed: equal shapes)"
        )
    s, t = full(student).flatten(1), full(teacher.detach()).flatten(1)
    return 1 - functional.cosine_similarity(s, t, dim=1, eps=1e-8)


def mean_absolute(new: Tensor, old: Tensor) -> Tensor:
    """Return the mean absolute difference of each sample, [B].

    Args:
        new: features, [B, ...].
        old: what they were, of the same shape; no gradient flows here.

    Raises:
        ValueError: the shapes differ.

    Source:
        Khattak et al. 2023, PromptSRC, arXiv:2307.06948, eq. 3: an L1 distance, which the code
        (muzairkhattak/PromptSRC@bb95c77) takes as the mean over all elements; the batch mean is that mean.

    Examples:
        >>> import torch
        >>> mean_absolute(torch.ones(2, 4), torch.zeros(2, 4))
        tensor([1., 1.])
    """
    if new.shape != old.shape:
        raise ValueError(
            f"features of shapes {list(new.shape)} and {list(old.shape)} cannot differ"
        )
    # Views of one feature for all samples are compared once.
    rows = 1 if new.stride(0) == old.stride(0) == 0 else len(new)
    apart = (full(new[:rows]) - full(old[:rows].detach())).abs()
    return apart.reshape(rows, -1).mean(dim=1).expand(len(new))
