"""The same comparison with every teacher, weighted over teachers."""

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch
from torch import Tensor, nn

from tutelage.errors import unknown
from tutelage.losses import gram
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.terms import Term
from tutelage.types import Facts, Needs, Output, View
from tutelage.weighting import Uniform, Weighting


class PerTeacher(TracedObjective):
    """``sum_k w_k · term(student, teacher_k)``: KD, AT, SP and their kin with 1..N teachers.

    Args:
        term: how the student is compared with one teacher; a copy of it serves each teacher, because
            adapters depend on the teacher's shapes.
        weighting: how much each teacher counts; uniform (AVER) unless given.
        teachers: names of the teachers to use; all of the stage's unless given.

    Shapes:
        -> [B].

    Source:
        Base of TGD/TPKD is ``PerTeacher(SoftTargets(4), Fixed({...}))``; AVER is the uniform weighting.
    """

    def __init__(
        self, term: Term, weighting: Weighting | None = None, teachers: Sequence[str] | None = None
    ) -> None:
        super().__init__()
        # In a tuple, so that the template itself is not registered: only its copies are trained.
        self.template = (term,)
        self.weighting = Uniform() if weighting is None else weighting
        self.teachers = None if teachers is None else tuple(teachers)
        self.copies = nn.ModuleDict()

    def needs(self) -> Needs:
        """Return what the term and the weighting read of the teachers."""
        return self.template[0].needs() | self.weighting.needs()

    def prepare(self, facts: Facts) -> None:
        """Give each teacher its own copy of the term, built on that teacher's shapes."""
        for name, teacher in select(facts.view, self.teachers).items():
            copy = deepcopy(self.template[0])
            copy.prepare(replace(facts, view=replace(facts.view, teachers={name: teacher})))
            self.copies[name] = copy
        chosen = select(facts.view, self.teachers)
        self.weighting.prepare(replace(facts, view=replace(facts.view, teachers=chosen)))

    def judge(self, view: View) -> Judged:
        """Return the weighted sum over teachers, and the weight of each unless they are constants."""
        teachers = select(view, self.teachers)
        student = self._with_grams(view.student)
        losses = torch.stack(
            [self._term(name)(student, teacher, view) for name, teacher in teachers.items()]
        )
        weights = self.weighting(losses, replace(view, teachers=teachers))
        traces = {} if self.weighting.constant else by_teacher(teachers, weights.expand_as(losses))
        return Judged((weights * losses).sum(dim=0), traces)

    def _with_grams(self, student: Output) -> Output:
        """Return the student with the similarity maps the term compares: made once, not once per teacher."""
        taps = self.template[0].needs().grams & (student.features.keys() - student.grams.keys())
        if not taps:
            return student
        return replace(
            student, grams={**student.grams, **{tap: gram(student, tap) for tap in sorted(taps)}}
        )

    def _term(self, teacher: str) -> nn.Module:
        return self.copies[teacher] if teacher in self.copies else self.template[0]


def by_teacher(
    teachers: Iterable[str], values: Iterable[Tensor], what: str = "weight"
) -> dict[str, Tensor]:
    """Return the traces ``<what>.<teacher>`` of values [K, B], one row for each teacher."""
    rows = zip(teachers, values, strict=True)
    return {f"{what}.{name}": row.detach() for name, row in rows}


def select(view: View, names: Sequence[str] | None) -> dict[str, Output]:
    """Return the named teachers of a view in the order given; all of them for None.

    Raises:
        UserError: a name is not a teacher here, or there is no teacher at all.
    """
    chosen = list(view.teachers) if names is None else list(names)
    if not chosen:
        raise unknown("teachers", "teacher", "(none)", ["at least one"])
    for name in chosen:
        if name not in view.teachers:
            raise unknown("teachers", "teacher", name, view.teachers)
    return {name: view.teachers[name] for name in chosen}
