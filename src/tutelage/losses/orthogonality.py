"""How close to orthogonal the rows of a similarity map are, compared between two networks."""

from typing import Literal

import torch
from torch import Tensor

from tutelage.losses.precision import full
from tutelage.losses.similarity import row_normalise

Patching = Literal["rows", "tiles", "subbatch"]


def orthogonality(gram: Tensor, *, patches: int = 4, patching: Patching = "rows") -> Tensor:
    """Cosines between the rows of each patch of a similarity map, minus the identity.

    Args:
        gram: raw or merged similarity map, [B, B].
        patches: k; B is divisible by it.
        patching: ``rows``: k blocks of B/k whole rows; ``tiles``: k x k squares of side B/k; ``subbatch``: the k
            squares on the diagonal, that is the maps of k smaller batches.

    Returns:
        [k, m, B/k, B/k] with m = 1 (``rows``, ``subbatch``) or m = k (``tiles``): for the samples of block i,
        ``P̂ P̂ᵀ - I`` of their m patches. Symmetric, in [-1, 1], the diagonal 0 (-1 where a row is 0).

    Raises:
        ValueError: B is not divisible by k.

    Source:
        Jeon et al. 2024, TPKD, arXiv:2407.05315: rows first normalised, then multiplied, then the identity taken
        away. What a patch is follows from its figures alone; ``rows`` is our reading.

    Examples:
        >>> orthogonality(torch.eye(4), patches=2).abs().max()
        tensor(0.)
    """
    check_patches(len(gram), patches)
    side = len(gram) // patches
    with torch.autocast(gram.device.type, enabled=False):
        gram = full(gram)
        if patching == "rows":
            blocks = gram.reshape(patches, 1, side, len(gram))
        else:
            blocks = gram.reshape(patches, side, patches, side).transpose(1, 2)
        if patching == "subbatch":
            blocks = torch.stack([blocks[i, i] for i in range(patches)])[:, None]
        rows = row_normalise(blocks)
        return rows @ rows.transpose(-1, -2) - torch.eye(side).to(rows)


def orthogonal_features(
    student: Tensor,
    teacher: Tensor,
    *,
    patches: int = 4,
    patching: Patching = "rows",
    reduction: Literal["mean", "frobenius"] = "mean",
) -> Tensor:
    """Distance of the :func:`orthogonality` of two similarity maps.

    Args:
        student: raw similarity map, [B, B].
        teacher: raw or merged similarity map, [B, B]; no gradient flows here.
        patches: k.
        patching: what a patch is.
        reduction: of the difference of each patch: ``mean`` of the squares over its (B/k)² elements, or
            ``frobenius``: the norm itself, neither squared nor divided.

    Returns:
        [B]; the batch mean is the mean of that number over patches. With ``mean`` sample i gets the mean of the
        squares of its own row; with ``frobenius`` each norm is shared out in proportion to the squares of the
        rows.

    Raises:
        ValueError: B is not divisible by k.

    Source:
        Jeon et al. 2024, TPKD, arXiv:2407.05315, eq. 9. The published coefficients (700 GENEActiv, 200 PAMAP2)
        fit a mean; the paper writes a Frobenius norm. Depends on the order of the samples in the batch for
        k > 1.
    """
    wanted = orthogonality(teacher.detach(), patches=patches, patching=patching)
    gap = orthogonality(student, patches=patches, patching=patching) - wanted
    squares = gap.square()
    if reduction == "mean":
        return squares.mean(dim=(1, 3)).flatten()
    rows = squares.sum(dim=3)
    norms = rows.sum(dim=2, keepdim=True).clamp_min(1e-24).sqrt()
    return (gap.shape[2] * rows / norms).mean(dim=1).flatten()


def check_patches(samples: int, patches: int) -> None:
    """Refuse a batch that cannot be cut into equal patches.

    Raises:
        ValueError: ``samples`` is not divisible by ``patches``.
    """
    if samples % patches:
        raise ValueError(
            f"patches: a batch of {samples} samples cannot be cut into {patches} equal patches "
            "(allowed: a batch size that is a multiple of patches)"
        )
