"""Batch similarity maps: which samples a network finds alike."""

from collections.abc import Sequence
from typing import Any, Literal

import torch
from torch import Tensor, linalg

from tutelage.losses.precision import full
from tutelage.types import Output

MergeOrder = Literal["merge_then_normalise", "normalise_then_merge"]


def gram(output: Output, tap: str) -> Tensor:
    """Raw similarity map ``A Aᵀ`` of a tap, from the cache where it is there.

    Args:
        output: one network's output; ``grams[tap]`` [B, B] is used when present, else
            ``features[tap]`` [B, ...] is flattened to A [B, D].
        tap: name of the feature.

    Returns:
        [B, B], float32 (also under autocast: Gram matrices lose too much in bf16).

    Raises:
        KeyError: the output has no such tap.
    """
    if tap in output.grams:
        return output.grams[tap]
    if tap not in output.features:
        raise KeyError(f"tap {tap!r} is not among the features {sorted(output.features)}")
    a = output.features[tap]
    with torch.autocast(a.device.type, enabled=False):
        return _OwnProduct.apply(full(a.flatten(1)))  # type: ignore[no-any-return]


class _OwnProduct(torch.autograd.Function):
    """``A Aᵀ``: both factors are one tensor, so backward is one product, ``(G + Gᵀ) A``, not two."""

    generate_vmap_rule = True

    @staticmethod
    def forward(a: Tensor) -> Tensor:
        return a @ a.mT

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (a,) = ctx.saved_tensors
        product: Tensor = (gradient + gradient.mT) @ a
        return product


def row_normalise(matrix: Tensor, dim: int = -1) -> Tensor:
    """Divide each row of [..., N] by its L2 norm.

    A row shorter than 1e-12 has no direction: it becomes 0, and no gradient flows to it.
    """
    length: Tensor = linalg.vector_norm(matrix, dim=dim, keepdim=True)
    directed = length > 1e-12
    return torch.where(directed, matrix, 0.0) / torch.where(directed, length, 1.0)


def similarity_maps(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance of two row-normalised similarity maps.

    Args:
        student: raw Gram matrix, [B, B].
        teacher: raw or already merged Gram matrix, [B, B]; no gradient flows here.

    Returns:
        [B]: sample i gets the mean of the squared differences of its row; the batch mean is
        ``||Ĝ_S - Ĝ_T||_F² / B²``, the paper's scalar.

    Source:
        Tung & Mori 2019, Similarity-Preserving KD, arXiv:1907.09682, eq. 4. Depends on the
        composition of the batch.
    """
    return (row_normalise(student) - row_normalise(teacher.detach())).square().mean(dim=1)


def merged_gram(
    grams: Sequence[Tensor],
    weights: Sequence[float],
    order: MergeOrder = "merge_then_normalise",
) -> Tensor:
    """One target map out of several teachers' raw maps.

    Args:
        grams: raw Gram matrices, [B, B] each, one per teacher.
        weights: one per teacher, >= 0.
        order: ``merge_then_normalise`` is the published code (TGD, TPKD, the Annsp rows): the teacher
            with more and larger features dominates whatever the weights say. With
            ``normalise_then_merge`` every teacher's rows have unit length before they are mixed.

    Returns:
        [B, B], no gradient.

    Source:
        Jeon et al. 2024, TGD, PMLR 251; reference code jeunsom/TGD.
    """
    with torch.no_grad():
        maps = [row_normalise(g) for g in grams] if order == "normalise_then_merge" else grams
        return torch.stack([w * g for w, g in zip(weights, maps, strict=True)]).sum(dim=0)
