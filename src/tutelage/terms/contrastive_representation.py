"""Contrast of embeddings against a memory of the whole training split."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tutelage import losses
from tutelage.errors import within
from tutelage.losses.precision import full
from tutelage.losses.shapes import feature
from tutelage.terms.adapters import means
from tutelage.terms.base import Term
from tutelage.types import Facts, Needs, Output, View


class ContrastiveRepresentation(Term):
    """A sample's student and teacher embeddings must agree more than those of samples of other classes (CRD).

    Two memories keep a running embedding of every training sample. Each embedding of a batch is compared with
    the *other* network's memory: of the sample itself and of ``negatives`` samples of other classes. In
    evaluation mode nothing is drawn and nothing is remembered: the negatives are spread evenly over the
    samples of other classes.

    Args:
        tap: feature compared; space is averaged out.
        width: of the common space that both embeddings are projected to.
        negatives: other samples per sample, drawn with replacement from the other classes; fewer where the
            largest class leaves fewer.
        temperature: divides the cosines; > 0.
        momentum: share of the old embedding in the new one of the memory, in [0, 1).

    Shapes:
        features [B, c, ...] of any two sizes -> [B]. Of a mixed input only its own class counts.

    Raises:
        ValueError: a number is outside its range.

    Source:
        Tian et al. 2020, arXiv:1910.10699; code HobbitLong/RepDistiller (``crd``), its ``exact`` mode. See
        :func:`tutelage.losses.noise_contrast`. Published coefficient: 0.8. As in the code, the normalisation
        constant of each side is set by the first batch and kept. Differs from the code: negatives are drawn
        with replacement (there without, where a class leaves enough), the set is the training split, and the
        products with the whole memory are picked from, which gives the same numbers as products with picked
        copies, for 1/100 of the memory traffic. Draws come from PyTorch's global stream, which is seeded per
        epoch, and the memories are part of the distiller's state: a resumed run repeats itself.
    """

    student_memory: Tensor
    teacher_memory: Tensor
    constants: Tensor
    counts: Tensor
    starts: Tensor

    def __init__(
        self,
        tap: str = "embedding",
        width: int = 128,
        negatives: int = 16384,
        temperature: float = 0.07,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        within("[1, inf)", width=width, negatives=negatives)
        within("(0, inf)", temperature=temperature)
        within("[0, 1)", momentum=momentum)
        self.tap, self.width, self.negatives = tap, width, negatives
        self.temperature, self.momentum = temperature, momentum
        self.reads = Needs(features=frozenset([self.tap]))

    def prepare(self, facts: Facts) -> None:
        """Build projections and memories; rows of the memories are sorted by class.

        Raises:
            ValueError: the labels of the training split are not known, or are all of one class.
        """
        if facts.labels is None:
            raise ValueError(
                "the memory needs the labels of the training split, which are not known"
            )
        (teacher,) = facts.view.teachers.values()
        labels = facts.labels.cpu()
        order = labels.argsort(stable=True)
        order = order[labels[order] >= 0]
        counts = torch.bincount(labels[order], minlength=len(facts.class_counts))
        samples = len(order)
        if samples == int(counts.max()):
            raise ValueError("all training samples are of one class, which leaves no negatives")
        self.negatives = min(self.negatives, samples - int(counts.max()))
        # Not a buffer: it stays on the CPU, where ids arrive, so that a wrong one costs no synchronisation.
        self.rows = torch.full_like(labels, -1)
        self.rows[order] = torch.arange(samples)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("starts", counts.cumsum(0) - counts, persistent=False)
        self.register_buffer("constants", torch.zeros(2))
        self.student = nn.Linear(means(feature(facts.view.student, self.tap)).shape[1], self.width)
        self.teacher = nn.Linear(means(feature(teacher, self.tap)).shape[1], self.width)
        bound = (3 / self.width) ** 0.5
        for name in ("student_memory", "teacher_memory"):
            self.register_buffer(name, torch.empty(samples, self.width).uniform_(-bound, bound))

    def forward(self, student: Output, teacher: Output, view: View) -> Tensor:
        """Return the contrast of each sample, both sides added, [B].

        Raises:
            ValueError: a sample is not in the training split.
        """
        labels = view.batch.labels
        rows = self.rows[view.batch.index.cpu()]
        if bool((rows < 0).any()):
            raise ValueError("a sample of the batch is not in the training split; it has no memory")
        return self.contrast(
            self.student(means(feature(student, self.tap))),
            self.teacher(means(feature(teacher, self.tap)).detach()),
            rows.to(labels.device),
            self._drawn(labels) if self.training else self._spread(labels),
        )

    def contrast(self, student: Tensor, teacher: Tensor, rows: Tensor, negatives: Tensor) -> Tensor:
        """Return the contrast for given negatives and, in training, remember the embeddings.

        Args:
            student: projected embeddings, [B, width].
            teacher: projected embeddings, [B, width].
            rows: of the samples in the memories, [B].
            negatives: rows of the samples they are compared with, [B, K].
        """
        pairs = torch.cat([rows[:, None], negatives], dim=1)
        with torch.autocast(student.device.type, enabled=False):
            s, t = (losses.row_normalise(full(x)) for x in (student, teacher))
            scores = [
                torch.exp((own @ memory.T).gather(1, pairs) / self.temperature)
                for own, memory in ((s, self.teacher_memory), (t, self.student_memory))
            ]
            samples = len(self.student_memory)
            first = torch.stack([score.detach().mean() * samples for score in scores])
            constants = torch.where(self.constants > 0, self.constants, first)
            if self.training:
                self.constants = constants
                self.student_memory = self._remembered(self.student_memory, rows, s)
                self.teacher_memory = self._remembered(self.teacher_memory, rows, t)
            sides = [
                losses.noise_contrast(score / constant, samples)
                for score, constant in zip(scores, constants, strict=True)
            ]
        return torch.stack(sides).sum(dim=0)

    def _remembered(self, memory: Tensor, rows: Tensor, new: Tensor) -> Tensor:
        # Not in place: the old memory is needed for the gradient.
        mixed = self.momentum * memory[rows] + (1 - self.momentum) * new.detach()
        return memory.index_copy(0, rows, F.normalize(mixed, dim=1))

    def _drawn(self, labels: Tensor) -> Tensor:
        """Return random rows of other classes, [B, K]."""
        others = self._others(labels)
        share = torch.rand(len(labels), self.negatives, device=labels.device)
        return self._without(labels, (share * others).long().clamp_max(others - 1))

    def _spread(self, labels: Tensor) -> Tensor:
        """Return evenly spaced rows of other classes, [B, K]; they depend on the class alone."""
        places = torch.arange(self.negatives, device=labels.device)
        return self._without(labels, places * self._others(labels) // self.negatives)

    def _others(self, labels: Tensor) -> Tensor:
        return (self.counts.sum() - self.counts[labels])[:, None]

    def _without(self, labels: Tensor, places: Tensor) -> Tensor:
        """Return the rows at these places when the rows of a class are skipped."""
        return places + self.counts[labels][:, None] * (places >= self.starts[labels][:, None])
