"""Relations between the classes of one sample and between the samples of one class."""

import torch
from torch import Tensor
from torch.nn import functional as F

from tutelage.errors import within
from tutelage.losses.precision import full

_GUARD = 1e-8  # the authors' epsilon in the denominator of the correlation


def class_relations(
    student: Tensor,
    teacher: Tensor,
    *,
    inter: float = 1.0,
    intra: float = 1.0,
    temperature: float = 1.0,
) -> Tensor:
    """Loss of correlation between the probabilities of student and teacher, along both axes.

    Args:
        student: logits, [B, C], unnormalised.
        teacher: logits, [B, C]; no gradient flows here.
        inter: weight of the inter-class relation: the rows, one sample over all classes.
        intra: weight of the intra-class relation: the columns, one class over all samples of the batch.
        temperature: divides both logits; > 0, dimensionless.

    Returns:
        [B], >= 0, times temperature². The inter-class part is one minus each row's own correlation. The
        intra-class part is a number per class; one minus a correlation is half the squared distance of the
        two unit columns, so each sample gets its own squares (times B, mean over classes). The batch mean is
        ``temperature² (inter · L_inter + intra · L_intra)`` exactly.

    Raises:
        ValueError: temperature <= 0.

    Source:
        Huang et al. 2022, DIST, arXiv:2205.10536; code hunto/DIST_KD. Authors' symbols:
        tau = temperature, beta = inter, gamma = intra. Depends on the composition of the batch where
        ``intra`` > 0.

    Examples:
        >>> import torch
        >>> z = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
        >>> bool((class_relations(z, z) < 1e-4).all())
        True
    """
    within("(0, inf)", temperature=temperature)
    s = torch.softmax(full(student) / temperature, dim=1)
    t = torch.softmax(full(teacher.detach()) / temperature, dim=1)
    rows = _distances(s, t).sum(dim=1)
    columns = _distances(s.T, t.T).T.mean(dim=1) * len(s)
    return temperature**2 * (inter * rows + intra * columns)


def _distances(a: Tensor, b: Tensor) -> Tensor:
    """Return one minus the correlation of each row of [N, M], spread over its elements, [N, M]."""
    a, b = a - a.mean(dim=1, keepdim=True), b - b.mean(dim=1, keepdim=True)
    lengths = a.norm(dim=1, keepdim=True) * b.norm(dim=1, keepdim=True)
    # What the guard takes from the correlation (all of it where a row is constant) is nobody's own.
    lost = _GUARD / (lengths + _GUARD)
    apart = (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square() / 2
    spread: Tensor = (1 - lost) * apart + lost / a.shape[1]
    return spread
