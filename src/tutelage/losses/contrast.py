"""Contrasts between matching and other pairs of samples."""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.losses.divergence import divergence
from tutelage.losses.precision import full
from tutelage.losses.similarity import row_normalise

_GUARD = 1e-7  # the authors' epsilon


def noise_contrast(scores: Tensor, samples: int) -> Tensor:
    """Noise-contrastive loss of one matching pair against many others.

    Args:
        scores: unnormalised probabilities, [B, 1 + K], > 0: the matching pair first, then K other pairs.
        samples: size of the set that the others are drawn from; the noise is uniform over it.

    Returns:
        [B], in nats: ``-log D(match) - sum_k log(1 - D(other_k))`` with ``D(p) = p / (p + K / samples)``.

    Source:
        Tian et al. 2020, CRD, arXiv:1910.10699, eq. 18; code HobbitLong/RepDistiller, whose epsilon of
        1e-7 is kept.

    Examples:
        >>> import torch
        >>> noise_contrast(torch.tensor([[0.2, 0.2]]), 5)  # D = 1/2 for both
        tensor([1.3863])
    """
    scores = full(scores)
    others = scores.shape[1] - 1
    noise = others / samples
    mixed = (scores + (noise + _GUARD)).log()
    match = mixed[:, 0] - scores[:, 0].log()
    return match + (mixed[:, 1:] - math.log(noise)).sum(dim=1)


def discriminative_consistent(
    student: Tensor, teacher: Tensor, *, scale: Tensor | float = 1.0, consistency: float = 0.5
) -> Tensor:
    """Each sample's student embedding must find its own teacher embedding, and be found alike.

    Args:
        student: embeddings, [B, D]; their lengths do not matter.
        teacher: embeddings, [B, D], already in the student's space.
        scale: multiplies the cosines; > 0.
        consistency: weight of the second part.

    Returns:
        [B], in nats. With ``S = scale · cos(student_i, teacher_j)``, sample i gets its cross entropy of row i
        (the discriminative part) plus ``consistency`` times KL(column i ‖ row i) of the softmaxes of S (the
        consistent part).

    Source:
        Giakoumoglou & Stathaki 2024, Discriminative and Consistent Representation Distillation,
        arXiv:2407.11802; code giakoumoglou/distillers. Authors' symbols: tau = scale, alpha = consistency.
        Differs from the code: no bias b on S, because no softmax can see it. Depends on the composition of
        the batch.

    Examples:
        >>> import torch
        >>> discriminative_consistent(torch.eye(2), torch.eye(2), scale=0.0)
        tensor([0.6931, 0.6931])
    """
    with torch.autocast(student.device.type, enabled=False):
        s, t = row_normalise(full(student)), row_normalise(full(teacher))
        similarity = scale * (s @ t.T)
    rows, columns = F.log_softmax(similarity, dim=1), F.log_softmax(similarity, dim=0).T
    return -rows.diagonal() + consistency * divergence(columns, rows)
