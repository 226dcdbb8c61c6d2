"""Features compared value by value."""

from torch import Tensor

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
