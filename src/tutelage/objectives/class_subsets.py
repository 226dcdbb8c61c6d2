"""Experts that know a subset of the classes: who they are, and what they say of their own samples."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from torch import Tensor

from tutelage.errors import UserError, unknown
from tutelage.types import Facts


def subsets(classes: Mapping[str, Sequence[str]], facts: Facts) -> dict[str, Tensor]:
    """Return the class numbers of each expert, in increasing order.

    Args:
        classes: teacher name -> names of the classes it knows.
        facts: names of teachers and classes.

    Raises:
        UserError: a name is no teacher or no class here, stands twice, or a subset has fewer than two classes.
    """
    numbers_of = {}
    for name, wanted in classes.items():
        if name not in facts.view.teachers:
            raise unknown("classes", "teacher", name, facts.view.teachers)
        for class_name in wanted:
            if class_name not in facts.class_names:
                raise unknown(f"classes.{name}", "class", class_name, facts.class_names)
        if len(set(wanted)) != len(wanted) or len(wanted) < 2:
            raise UserError(
                f"classes.{name}: found {list(wanted)}; allowed: at least two different classes, because an "
                "expert says how alike classes are"
            )
        numbers_of[name] = torch.tensor(
            sorted(facts.class_names.index(class_name) for class_name in wanted)
        )
    if all(len(numbers) == len(facts.class_names) for numbers in numbers_of.values()):
        raise UserError(
            "classes: LFME is not applicable without experts of some of the classes; name the classes of each "
            "teacher, or use PerTeacher with weighting: AccuracyGap for teachers that know them all"
        )
    return numbers_of


def own_answers(
    facts: Facts, expert: str, classes: Tensor, split: Literal["train", "validation"]
) -> tuple[Tensor, Tensor, Tensor]:
    """Return what an expert says of the samples of its classes.

    Returns:
        Their ids [n], their classes counted within the subset [n], and the expert's scores of the subset [n, c].

    Raises:
        UserError: there is nobody to ask, or the split has no sample of these classes.
    """
    if facts.survey is None:
        raise UserError(f"classes.{expert}: there is no {split} split to ask the expert about")
    answers = facts.survey(expert, split)
    mine = torch.isin(answers.labels, classes)
    if not bool(mine.any()):
        raise UserError(f"classes.{expert}: the {split} split has no sample of these classes")
    own = torch.searchsorted(classes, answers.labels[mine])
    return answers.index[mine], own, answers.logits[mine][:, classes]
