"""How far features have moved from where they were."""

from torch import Tensor

from tutelage.losses.precision import full

__all__ = ["mean_absolute"]


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

    Example:
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
