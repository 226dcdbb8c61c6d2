"""Hard labels that begin with the samples an expert finds easy."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import torch
from torch import Tensor

from tutelage.errors import UserError, within
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.objectives.class_subsets import own_answers, subsets
from tutelage.objectives.labels import Labels
from tutelage.types import Clock, Facts, View

# Mean class sizes 12, 53 and 230 of the three groups of ImageNet-LT.
SHOTS = {"many": 12 / 230, "median": 12 / 53, "low": 1.0}


class CurriculumLabels(TracedObjective):
    """Cross entropy times a weight per sample that grows to 1: easy samples first (LFME).

    The first weight of a sample is its expert's confidence in the true class (softmax over the expert's classes),
    stretched within each class to the range from the expert's floor to 1; samples of a class that are all alike
    begin at 1. In epoch ``e`` of ``E`` the weight is ``first + (1 - first) · min(1, 2e / E)``: a straight line to
    1 at half of the training.

    Args:
        classes: teacher name -> names of the classes it was trained on; every class belongs to one expert.
        floors: teacher name -> weight of the hardest sample at the beginning, in (0, 1], or the group of its
            classes: ``many`` (12/230), ``median`` (12/53) or ``low`` (1: no curriculum).
        reference: what the authors' code does instead: the weight multiplies the logits, keeps growing behind 1,
            and epochs count from 1.
        selection: ``weighted``: every sample counts, hard ones less; ``growing``: a sample counts in full or not
            at all. Of each class the share ``floor + (1 - floor) · min(1, 2e / E)`` of samples that its expert is
            surest of takes part (at least one): a subset that only grows, and is all of it at half of the
            training.

    Shapes:
        student logits [B, C], labels [B] -> [B].

    Raises:
        ValueError: no class subsets, a name that does not exist, a class with several experts or none, or a floor
            outside (0, 1].

    Source:
        Xiang et al. 2020, LFME, ECCV, arXiv:2001.01536, instance selection; reference code xiangly55/LFME
        ``run_network_LFME.py``, ``data/dataloader_LFME.py``. Differs from the code: see ``reference``; a class of
        equal confidences is 0/0 there. Published coefficient: 1.
    """

    first: Tensor

    def __init__(
        self,
        classes: Mapping[str, Sequence[str]],
        floors: Mapping[str, float | Literal["many", "median", "low"]],
        reference: bool = False,
        selection: Literal["weighted", "growing"] = "weighted",
    ) -> None:
        super().__init__()
        self.classes = {name: list(names) for name, names in classes.items()}
        self.floors = {
            name: SHOTS[floor] if isinstance(floor, str) else floor
            for name, floor in floors.items()
        }
        within("(0, 1]", **{f"floors.{name}": floor for name, floor in self.floors.items()})
        if self.floors.keys() != self.classes.keys():
            raise ValueError(
                f"floors: found {', '.join(self.floors) or 'none'}; allowed: one for each expert in classes "
                f"({', '.join(self.classes) or 'none'})"
            )
        if reference and selection == "growing":
            raise UserError(
                "selection: growing, but the authors' code weighs samples (allowed: reference: false)"
            )
        self.reference = reference
        self.selection: Literal["weighted", "growing"] = selection
        self.labels = Labels()
        self.register_buffer("first", torch.ones(0))

    def prepare(self, facts: Facts) -> None:
        """Ask every expert about the training samples of its classes."""
        numbers = subsets(self.classes, facts)
        experts = torch.bincount(
            torch.cat(list(numbers.values())), minlength=len(facts.class_names)
        )
        for name, count in zip(facts.class_names, experts.tolist(), strict=True):
            if count != 1:
                raise UserError(
                    f"classes: {name!r} has {count} experts; allowed: one for every class"
                )
        if facts.labels is None:
            raise UserError("CurriculumLabels: the training samples are not known here")
        self.first = torch.full((len(facts.labels),), float(self.selection == "weighted"))
        for name, mine in numbers.items():
            index, own, logits = own_answers(facts, name, mine, "train")
            confidence = torch.softmax(logits.float(), dim=1).gather(1, own[:, None]).squeeze(1)
            for number in range(len(mine)):
                members = own == number
                if bool(members.any()):
                    first = self._first(confidence[members], self.floors[name])
                    self.first[index[members]] = first

    def _first(self, confidence: Tensor, floor: float) -> Tensor:
        """Return what is kept of the samples of one class, [n]: first weights, or when they begin to count."""
        if self.selection == "weighted":
            return stretched(confidence, floor)
        # Part of the training after which the growing share has reached a sample: 0 for those that begin.
        share = beginning(confidence)
        waits = ((share - floor) / (1 - floor)).clamp_min(0.0) if floor < 1 else 0.0 * share
        # The one that its expert is surest of is there from the start.
        return torch.where(share == share.min(), 0.0, waits)

    def weights(self, index: Tensor, clock: Clock) -> Tensor:
        """Return the weights of these samples in this epoch, [B]."""
        first = self.first[index.to(self.first.device)]
        if self.reference:
            done = 2 * (clock.epoch + 1) / clock.epochs
        else:
            done = min(1.0, 2 * clock.epoch / clock.epochs)
        if self.selection == "growing":
            return (first <= done + 1e-6).to(first.dtype)
        return first + (1 - first) * done

    def judge(self, view: View) -> Judged:
        """Return the weighted loss of each sample, in nats (of a mixed input, of both classes), and its weight."""
        weights = self.weights(view.batch.index, view.clock)
        if self.reference:
            scaled = replace(view.student, logits=view.student.logits * weights[:, None])
            return Judged(self.labels(replace(view, student=scaled)), {"weight": weights})
        return Judged(weights * self.labels(view), {"weight": weights})


def stretched(confidence: Tensor, floor: float) -> Tensor:
    """Return the confidences [n] of one class in the range from ``floor`` to 1; 1 for all where they are equal."""
    low, high = confidence.min(), confidence.max()
    if high == low:
        return torch.ones_like(confidence)
    return floor + (1 - floor) * (confidence - low) / (high - low)


def beginning(confidence: Tensor) -> Tensor:
    """Return the share of its class that takes part when a sample does, [n] in (0, 1]; equals come together."""
    ahead = (confidence[None, :] > confidence[:, None]).sum(dim=1)
    return (ahead + 1) / len(confidence)
