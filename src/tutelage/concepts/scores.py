"""How well a concept tells classes apart, from the similarities between images and concepts."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.errors import UserError

Score = Literal["mutual_information", "negative_entropy"]
Values = Literal["softmax", "shift", "raw"]
Scale = Literal["range", "rank", "raw"]

# Similarities of one block: 8 MiB in float64, which stays in the processor's cache.
_ELEMENTS = 2**20
# Embeddings at a time: those of ImageNet take 4 GB, and each step in one piece as much again.
_ROWS = 2**16
_FLOOR = 1e-6  # of the range of all similarities: what "shift" leaves of the smallest one


def class_means(
    embeddings: Tensor, labels: Tensor, classes: int, *, normalise: bool = True
) -> Tensor:
    """Mean embedding of each class, whose inner product with a concept is their mean similarity.

    Args:
        embeddings: of images or windows, [n, D].
        labels: class of each, [n], integers in 0 .. classes - 1.
        classes: number of classes N.
        normalise: bring every embedding to unit length first; concepts are then to have unit length, too, and
            similarities are mean cosines. Released LaBo does not.

    Returns:
        [N, D], float32 (float64 stays).

    Raises:
        UserError: a label outside the classes, a class without a sample, or an embedding that is not finite.

    Source:
        Sim(y, c) = mean over x of class y of x · T(c) = (mean over x) · T(c): one vector per class is enough,
        however many images there are.

    Examples:
        >>> class_means(torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([0, 1]), 2)
        tensor([[0.6000, 0.8000],
                [0.0000, 1.0000]])
    """
    if labels.shape != embeddings.shape[:1]:
        raise UserError(f"labels: {len(labels)} for {len(embeddings)} embeddings")
    if len(labels) and not 0 <= int(labels.min()) <= int(labels.max()) < classes:
        raise UserError(f"labels: {int(labels.min())} to {int(labels.max())} for {classes} classes")
    labels = labels.long()
    counts = torch.bincount(labels, minlength=classes)
    if bool((counts == 0).any()):
        raise UserError(
            f"labels: class {int(counts.argmin())} has no sample to compare concepts with"
        )
    sums = _finite(embeddings[:0], "embeddings").new_zeros(classes, embeddings.shape[1])
    for start in range(0, len(embeddings), _ROWS):
        part = _finite(embeddings[start : start + _ROWS], "embeddings")
        part = F.normalize(part, dim=1) if normalise else part
        sums.index_add_(0, labels[start : start + _ROWS], part)
    return sums / counts.to(sums)[:, None]


def mutual_information(
    similarities: Tensor, *, values: Values = "softmax", temperature: float = 0.05
) -> Tensor:
    """What a concept says about the class, in nats: ``p(c) (ln N - H(class | c))``.

    Args:
        similarities: mean similarity of each class to each concept, [N, M]. All M candidates of all classes belong
            in it: each class is normalised over them, so that no class is 'easy' for every concept.
        values: how similarities become the positive numbers that a logarithm needs. ``softmax``: over classes, of
            similarity / temperature; ``shift``: minus the smallest of all; ``raw``: as they are.
        temperature: of ``softmax``, in units of the similarities; 1 / logit scale of the encoders, or 0.05 for
            cosines.

    Returns:
        [M], float64, >= 0, and 0 where a concept says nothing. They add up to the information between concept and
        class and are of the order 1/M.

    Raises:
        UserError: ``raw`` with a similarity that is not positive; a similarity that is not finite.

    Source:
        Yang et al. 2023, LaBo, arXiv:2211.11158, as its code computes it (YueYANG1996/LaBo): p(c, y) = Sim(y, c) /
        (N Σ_c' Sim(y, c')), p(c) = Σ_y p(c, y), score = Σ_y p(c, y) ln(p(c, y) / (p(c) / N)), there with ``raw``
        alone, which gives NaN for a negative similarity.

    Examples:
        >>> mutual_information(torch.tensor([[1.0, 2.0], [1.0, 2.0]]), values="raw").tolist()
        [0.0, 0.0]
    """
    return _mutual_information([similarities], values, temperature)


def negative_entropy(
    similarities: Tensor, *, values: Values = "softmax", temperature: float = 0.05
) -> Tensor:
    """Minus the entropy of the classes given a concept, in nats: the paper's discriminability.

    Args:
        similarities: mean similarity of each class to each concept, [N, M].
        values: as in `mutual_information`.
        temperature: as in `mutual_information`.

    Returns:
        [M], float64, between -ln N (similar to all classes alike) and 0 (to one class only).

    Raises:
        UserError: ``raw`` with a similarity that is not positive; a similarity that is not finite.

    Source:
        Yang et al. 2023, LaBo, arXiv:2211.11158: D(c) = Σ_y p(y|c) ln p(y|c) with p(y|c) = Sim(y, c) /
        Σ_y' Sim(y', c).

    Examples:
        >>> negative_entropy(torch.zeros(2, 1)).tolist()
        [-0.6931471805599453]
    """
    return _negative_entropy([similarities], values, temperature)


def concept_scores(
    means: Tensor,
    concepts: Tensor,
    score: Score = "mutual_information",
    *,
    values: Values = "softmax",
    temperature: float = 0.05,
) -> Tensor:
    """Score of every concept, without ever holding all similarities: 1000 classes x 500,000 concepts fit.

    Args:
        means: of `class_means`, [N, D].
        concepts: text embeddings, [M, D], of unit length where the means are of normalised embeddings.
        score: `mutual_information` or `negative_entropy`.
        values: as there.
        temperature: as there.

    Returns:
        [M], float64: the function named by ``score`` of ``means @ concepts.T``, to rounding.

    Raises:
        UserError: as there.
    """
    if means.shape[1:] != concepts.shape[1:]:
        raise UserError(f"concepts: {list(concepts.shape)} beside class means {list(means.shape)}")
    found = {"mutual_information": _mutual_information, "negative_entropy": _negative_entropy}
    return found[score](_Similarities(means, concepts.to(means)), values, temperature)


def scaled(scores: Tensor, scale: Scale = "range") -> Tensor:
    """Scores of one class's candidates brought to [0, 1], so that one coefficient fits every data set.

    Args:
        scores: [n], one per candidate of a class.
        scale: ``range``: smallest 0, largest 1 (all 0 where they are equal); ``rank``: position among the sorted
            scores, equal ones share theirs; ``raw``: as they are, raised by one constant where some are negative.

    Returns:
        [n], float64, >= 0.

    Source:
        Released LaBo multiplies raw scores (3e-7 to 5e-6) by 1e7 instead, by 1e8 on ImageNet. A constant does not
        change the best set of a given size, and makes the objective monotone, which greedy's guarantee needs:
        the paper's entropy score is negative.

    Examples:
        >>> scaled(torch.tensor([2.0, 4.0, 3.0, 4.0])).tolist()
        [0.0, 1.0, 0.5, 1.0]
        >>> scaled(torch.tensor([2.0, 4.0, 3.0, 4.0]), "rank").tolist()
        [0.0, 0.8333333333333334, 0.3333333333333333, 0.8333333333333334]
    """
    scores = _double(scores)
    if not len(scores):
        return scores
    if scale == "raw":
        return scores - scores.min().clamp_max(0.0)
    if scale == "rank":
        ascending = scores.sort().values
        below = torch.searchsorted(ascending, scores)
        up_to = torch.searchsorted(ascending, scores, right=True)
        return (below + up_to - 1).double() / max(2 * (len(scores) - 1), 1)
    lowest, highest = scores.min(), scores.max()
    return (scores - lowest) / (highest - lowest if highest > lowest else 1.0)


@dataclass(frozen=True)
class _Similarities:
    """Similarities [N, some concepts], made anew each time they are walked through."""

    means: Tensor
    concepts: Tensor

    def __iter__(self) -> Iterator[Tensor]:
        size = max(_ELEMENTS // len(self.means), 1)
        for start in range(0, len(self.concepts), size):
            yield self.means @ self.concepts[start : start + size].mT


def _negative_entropy(blocks: Iterable[Tensor], values: Values, temperature: float) -> Tensor:
    found = []
    for logs in _logarithms(blocks, values, temperature):
        share = logs.log_softmax(0)
        found.append(torch.special.entr(share.exp()).sum(0).neg())
    return torch.cat(found)


def _mutual_information(blocks: Iterable[Tensor], values: Values, temperature: float) -> Tensor:
    parts = [x.logsumexp(1, keepdim=True) for x in _logarithms(blocks, values, temperature)]
    totals = torch.cat(parts, dim=1).logsumexp(1, keepdim=True) + math.log(len(parts[0]))
    found = []
    for logs in _logarithms(blocks, values, temperature):
        joint = logs.sub_(totals)
        shares = joint.exp()
        # A concept so far from all classes that its share underflows says nothing: 0 times something finite.
        marginal = shares.sum(0).clamp_min(torch.finfo(torch.float64).tiny).log_()
        gap = joint.sub_(marginal - math.log(len(joint)))
        # The sum is a divergence times p(c): below 0 only by rounding.
        found.append(gap.mul_(shares).sum(0).clamp_min_(0.0))
    return torch.cat(found)


def _logarithms(blocks: Iterable[Tensor], values: Values, temperature: float) -> Iterator[Tensor]:
    """Logarithms of the positive numbers that stand for the similarities, in float64, block by block.

    Logarithms, because a class that is far from every concept underflows otherwise and its total is 0.
    """
    if values == "softmax" and not temperature > 0:
        raise UserError(f"temperature: {temperature}, but it must be above 0")
    lowest, span = _limits(blocks) if values == "shift" else (0.0, 1.0)
    for found in blocks:
        block = _double(_finite(found, "similarities"))
        if values == "softmax":
            yield (block / temperature).log_softmax(0)
        elif values == "shift":
            yield ((block - lowest) / span + _FLOOR).log()
        elif float(block.min()) > 0:
            yield block.log()
        else:
            raise UserError(
                f"similarities: {float(block.min()):.4g} is among them, but values='raw' takes the logarithm of "
                "each, so all must be above 0; choose values='softmax' or 'shift'"
            )


def _limits(blocks: Iterable[Tensor]) -> tuple[float, float]:
    """Smallest similarity and the range of all."""
    found = [(float(block.min()), float(block.max())) for block in blocks]
    lowest, highest = min(low for low, _ in found), max(high for _, high in found)
    return lowest, highest - lowest or 1.0


def _finite(x: Tensor, name: str) -> Tensor:
    x = x.float() if x.dtype != torch.float64 else x
    if not bool(
        x.sum().isfinite()
    ):  # one number that is not finite makes the sum so; cheaper than all of them
        raise UserError(f"{name}: not all numbers are finite")
    return x


def _double(x: Tensor) -> Tensor:
    """Return x in float64: scores are differences of nearly equal numbers. Apple's GPUs have none."""
    return (x.cpu() if x.device.type == "mps" else x).double()
