"""Splits by people: whole subjects are trained on, decide, or are tested."""

from dataclasses import dataclass

import numpy as np

from tutelage.data.choosing import (
    check_fold,
    check_fraction,
    choose_validation,
    column,
    sessions_of,
    subjects_of,
)
from tutelage.data.dataset import DataSet
from tutelage.data.names import natural
from tutelage.data.split import Split, unseen_classes
from tutelage.errors import UserError, within


@dataclass(frozen=True)
class LeaveOneSubjectOut:
    """Every subject is tested once, alone.

    Validation subjects are chosen by ``seed`` and fold among the others, so that training keeps
    every class and validation has every class, as far as the subjects allow.

    Args:
        validation: number of validation subjects; 0 is the literature's habit.
        seed: for the choice of validation subjects.
        strict: refuse a fold whose test side has a class that training never sees.
    """

    validation: int = 1
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        within("[0, inf)", **{"LeaveOneSubjectOut.seed": self.seed})

    def count(self, dataset: DataSet) -> int:
        """Return the number of subjects."""
        return len(subjects_of(dataset, "LeaveOneSubjectOut"))

    def split(self, dataset: DataSet, fold: int) -> Split:
        """Return the fold that tests subject number ``fold`` (in natural order).

        Raises:
            UserError: no subjects, no such fold, too many validation subjects.
        """
        subjects = subjects_of(dataset, "LeaveOneSubjectOut")
        check_fold("LeaveOneSubjectOut", fold, len(subjects))
        tested = [subjects[fold]]
        name = f"subject-{tested[0]}"
        chosen = choose_validation(
            dataset, "LeaveOneSubjectOut", tested, self.validation, [self.seed, fold]
        )
        return _by_subject(dataset, name, tested, chosen, self.strict)


@dataclass(frozen=True)
class GroupedFolds:
    """Groups of subjects, about equal in windows; every subject is tested exactly once.

    Args:
        folds: number of groups.
        validation: number of validation subjects, chosen as in :class:`LeaveOneSubjectOut`.
        seed: for the grouping and for the choice of validation subjects.
        strict: refuse a fold whose test side has a class that training never sees.
    """

    folds: int = 5
    validation: int = 2
    seed: int = 0
    strict: bool = False

    def __post_init__(self) -> None:
        within("[0, inf)", **{"GroupedFolds.seed": self.seed})

    def count(self, dataset: DataSet) -> int:
        """Return the number of folds."""
        self._groups(dataset)
        return self.folds

    def split(self, dataset: DataSet, fold: int) -> Split:
        """Return one fold, counted from 0.

        Raises:
            UserError: no subjects, fewer subjects than folds, no such fold.
        """
        groups = self._groups(dataset)
        check_fold("GroupedFolds", fold, self.folds)
        name = f"fold-{fold + 1}-of-{self.folds}"
        chosen = choose_validation(
            dataset, "GroupedFolds", groups[fold], self.validation, [self.seed, fold]
        )
        return _by_subject(dataset, name, groups[fold], chosen, self.strict)

    def _groups(self, dataset: DataSet) -> list[list[str]]:
        subjects = subjects_of(dataset, "GroupedFolds")
        if not 2 <= self.folds <= len(subjects):
            raise UserError(
                f"GroupedFolds.folds: found {self.folds}, allowed are 2 to {len(subjects)}, "
                f"the number of subjects of {dataset.name!r}"
            )
        owner = column(dataset, "GroupedFolds")
        sizes = {name: int(np.sum(owner == name)) for name in subjects}
        order = np.random.default_rng(self.seed).permutation(len(subjects))
        largest = sorted((subjects[i] for i in order), key=lambda name: -sizes[name])
        groups: list[list[str]] = [[] for _ in range(self.folds)]
        for name in largest:  # the next largest subject goes to the smallest group
            min(groups, key=lambda group: (sum(sizes[one] for one in group), len(group))).append(
                name
            )
        return [sorted(group, key=natural) for group in groups]


@dataclass(frozen=True)
class NamedSubjects:
    """One split by names.

    Args:
        test: subjects that are tested.
        validation: subjects that decide.
        strict: refuse when the test side has a class that training never sees.
        train: subjects that train; all others unless given. Subjects on no side are left out, for example
            because an encoder was trained on them.
    """

    test: tuple[str, ...]
    validation: tuple[str, ...] = ()
    strict: bool = False
    train: tuple[str, ...] = ()

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the split.

        Raises:
            UserError: a name that the data do not have, or a name on both sides.
        """
        subjects = subjects_of(dataset, "NamedSubjects")
        check_fold("NamedSubjects", fold, 1)
        named = (*self.test, *self.validation, *self.train)
        for name in named:
            if name not in subjects:
                raise UserError(
                    f"NamedSubjects: found subject {name!r}, allowed are {', '.join(subjects)}"
                )
        twice = sorted({name for name in named if named.count(name) > 1})
        if twice or not self.test:
            raise UserError(
                f"NamedSubjects: found {twice} twice and {len(self.test)} test subjects, allowed is every subject "
                "once and at least one for the test"
            )
        return _by_subject(
            dataset,
            "named-subjects",
            list(self.test),
            list(self.validation),
            self.strict,
            list(self.train) or None,
        )


@dataclass(frozen=True)
class SessionOut:
    """Every session is tested once, of all people who have it: the same people on another occasion.

    Sessions are those of the data set; where it has none, the recordings of each person, in their order. People
    are on several sides, so this says nothing about new people.

    Args:
        validation: fraction of the other sessions, each of one person, in [0, 1); at least one trains.
        seed: for the choice of validation sessions.
    """

    validation: float = 0.2
    seed: int = 0

    def __post_init__(self) -> None:
        within("[0, inf)", **{"SessionOut.seed": self.seed})

    def count(self, dataset: DataSet) -> int:
        """Return the number of sessions."""
        return len(np.unique(sessions_of(dataset, "SessionOut")))

    def split(self, dataset: DataSet, fold: int) -> Split:
        """Return the fold that tests session number ``fold`` (in natural order).

        Raises:
            UserError: no sessions, one session only, or no such fold.
        """
        check_fraction("SessionOut.validation", self.validation)
        sessions = sessions_of(dataset, "SessionOut")
        names = sorted(np.unique(sessions).tolist(), key=natural)
        if len(names) < 2:
            raise UserError(
                f"SessionOut: data set {dataset.name!r} has one session, {names[0]!r}, allowed are two or more"
            )
        check_fold("SessionOut", fold, len(names))
        people = np.zeros(len(dataset), np.int64)
        if dataset.subjects is not None:
            people = np.unique(dataset.subjects, return_inverse=True)[1]
        occasions = people * len(names) + np.array([names.index(name) for name in sessions])
        tested = sessions == names[fold]
        units = np.random.default_rng([self.seed, fold]).permutation(np.unique(occasions[~tested]))
        drawn = units[: min(int(np.ceil(self.validation * len(units))), len(units) - 1)]
        chosen = np.isin(occasions, drawn) & ~tested
        train, validation, test = map(np.flatnonzero, (~tested & ~chosen, chosen, tested))
        known = dataset.subjects is not None
        split = Split(f"session-{names[fold]}", train, validation, test, within_subjects=known)
        unseen = unseen_classes(dataset, split)
        if unseen:
            raise UserError(
                f"SessionOut: session {names[fold]!r} of {dataset.name!r} has {', '.join(unseen)}, which no other "
                "session has; are these sessions? (sessions.npy says which there are)"
            )
        return split


def _by_subject(
    dataset: DataSet,
    name: str,
    tested: list[str],
    chosen: list[str],
    strict: bool,
    trained: list[str] | None = None,
) -> Split:
    owner = column(dataset, name)
    test, validation = np.isin(owner, tested), np.isin(owner, chosen)
    others = ~test & ~validation
    train = np.flatnonzero(others if trained is None else np.isin(owner, trained))
    split = Split(name, train, np.flatnonzero(validation), np.flatnonzero(test))
    unseen = unseen_classes(dataset, split)
    if strict and unseen:
        raise UserError(
            f"{name}: the test side has {', '.join(unseen)}, which training never sees; "
            "choose other folds, or strict=False to test them all the same"
        )
    return split
