"""Three teachers and a student made of formulas, the same for every golden number of a weighting."""

import torch

from tutelage.types import Batch, Clock, Facts, Output, View

LABELS = torch.tensor([0, 2, 4, 1])
NAMES = ("sig", "pi", "gaf", "fourth", "fifth", "sixth", "seventh", "eighth")


def logits():
    """Four samples, five classes, float64: the student's logits and those of three teachers."""
    n = torch.arange(20, dtype=torch.float64)
    student = torch.sin(n).reshape(4, 5)
    teachers = [
        (2 * torch.cos(0.3 * n + k) + 0.1 * k * torch.sin(n * n)).reshape(4, 5) for k in range(3)
    ]
    return student, teachers


def wave(*shape, step, shift=0.0):
    """Sine values along a row-major count, float64."""
    count = torch.Size(shape).numel()
    return torch.sin(step * torch.arange(count, dtype=torch.float64) + shift).reshape(shape)


def view_of(student, teachers, labels=LABELS, clock=None):
    """A view of these outputs; bare tensors are logits."""

    def output(x):
        return x if isinstance(x, Output) else Output(x)

    named = {name: output(teacher) for name, teacher in zip(NAMES, teachers, strict=False)}
    batch = Batch({}, labels, torch.arange(len(labels)))
    return View(output(student), named, batch, Clock() if clock is None else clock)


def formula_view():
    """The view of :func:`logits`, the student's a leaf that collects gradients."""
    student, teachers = logits()
    return view_of(student.requires_grad_(), teachers)


def facts_of(view, **more):
    return Facts(view, torch.ones(5, dtype=torch.int64), **more)
