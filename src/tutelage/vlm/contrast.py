"""Contrast between inputs and captions where several captions of a batch are right."""

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["multi_positive"]


def multi_positive(inputs: Tensor, texts: Tensor, groups: Tensor, scale: Tensor) -> Tensor:
    """Symmetric contrast of inputs and captions; all pairs of one group are positives.

    With ten classes a batch is full of false negatives: another image of a cat is no wrong partner for a caption
    of a cat. So the target of a row is spread evenly over the members of its group.

    Args:
        inputs: embeddings of images or signals, [B, D].
        texts: embeddings of their captions, [B, D].
        groups: number of the class (or noun) each pair is of, [B], int64.
        scale: what cosines are multiplied by.

    Returns:
        [B], in nats: the mean of both directions' cross entropies.

    Source:
        Yang et al. 2022, UniCL, arXiv:2204.03610, eq. 3 to 5; with a group per sample it is CLIP's loss.

    Examples:
        >>> import torch
        >>> multi_positive(torch.eye(2), torch.eye(2), torch.tensor([0, 1]), torch.tensor(1.0))
        tensor([0.3133, 0.3133])
    """
    with torch.autocast(inputs.device.type, enabled=False):
        logits = scale * F.normalize(_full(inputs), dim=1) @ F.normalize(_full(texts), dim=1).mT
    same = (groups[:, None] == groups).to(logits)
    target = same / same.sum(dim=1, keepdim=True)
    rows = -(target * logits.log_softmax(dim=1)).sum(dim=1)
    columns = -(target * logits.mT.log_softmax(dim=1)).sum(dim=1)
    return (rows + columns) / 2


def _full(x: Tensor) -> Tensor:
    """Return at least float32: cosines are multiplied by up to 100."""
    return x if x.dtype == torch.float64 else x.float()
