"""Who is trained on, who decides, who is tested: splits by subject, or by the publisher."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from tutelage.data.choosing import (
    check_fold,
    check_fraction,
    choose_validation,
    column,
    draw,
    few,
    subjects_of,
    tested,
)
from tutelage.data.copies import without_copies
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.names import natural
from tutelage.errors import UserError, unknown

__all__ = [
    "LeaveOneSubjectOut", "GroupedFolds", "NamedSubjects", "OfficialSplit", "RandomSplit", "Thinned",
    "FewShot", "Transductive",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Split:
    """Sample numbers of the three sides; every choice is made on ``validation``.

    Args:
        name: fit for a folder name, for example ``subject-101``.
        train: sample numbers, increasing, int64.
        validation: the same; empty only when a splitter was told ``validation=0``.
        test: the same; read once, at the end.
        transductive: training sees the inputs of the test side, and none of their labels.
    """

    name: str
    train: Ints
    validation: Ints
    test: Ints
    transductive: bool = False

    def sides(self) -> dict[str, Ints]:
        """Return the sample numbers by the name of the side."""
        return {"train": self.train, "validation": self.validation, "test": self.test}


@runtime_checkable
class Splitter(Protocol):
    """What the splits of this module have in common."""

    def count(self, dataset: DataSet) -> int:
        """Return how many folds there are."""
        ...

    def split(self, dataset: DataSet, fold: int) -> Split:
        """Return one fold, counted from 0."""
        ...


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
class OfficialSplit:
    """The publisher's test part; validation is the publisher's, or taken from the training part.

    With subjects in the data, validation takes whole subjects, else samples, class by class.

    Args:
        validation: fraction of everything outside the test part, in [0, 1); None: the publisher's own
            validation part, or 0.1 where there is none.
        seed: for the choice of validation samples.
        drop_copies: leave out training samples that are bit-identical to one of validation or test, and
            validation samples that are to one of test; the test part stays as published.
    """

    validation: float | None = None
    seed: int = 0
    drop_copies: bool = False

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the split.

        Raises:
            UserError: the data set has no official test part.
        """
        check_fold("OfficialSplit", fold, 1)
        if self.validation is not None:
            check_fraction("OfficialSplit.validation", self.validation)
        if dataset.official_test is None:
            raise UserError(
                f"OfficialSplit: data set {dataset.name!r} has no official test part; "
                "use RandomSplit, LeaveOneSubjectOut or GroupedFolds"
            )
        test = np.flatnonzero(dataset.official_test)
        rest = np.flatnonzero(~dataset.official_test)
        chosen = self._validation(dataset, rest)
        train = np.setdiff1d(rest, chosen)
        if self.drop_copies:
            test, chosen, train = without_copies(dataset, [test, chosen, train])
        return Split("official", train, chosen, test)

    def _validation(self, dataset: DataSet, rest: Ints) -> Ints:
        if self.validation is None and dataset.official_validation is not None:
            return np.flatnonzero(dataset.official_validation)
        fraction = 0.1 if self.validation is None else self.validation
        rng = np.random.default_rng([self.seed, 0])
        if dataset.subjects is None:
            return draw(dataset, rest, fraction, rng)
        names = rng.permutation(np.unique(dataset.subjects[rest]))
        some = names[: int(np.ceil(fraction * len(names)))]
        return rest[np.isin(dataset.subjects[rest], some)]


@dataclass(frozen=True)
class RandomSplit:
    """Samples drawn at random, class by class; only for data without subjects.

    Args:
        test: fraction of each class, in (0, 1).
        validation: fraction of each class, in [0, 1).
        seed: for the draw.
    """

    test: float = 0.2
    validation: float = 0.1
    seed: int = 0

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the split.

        Raises:
            UserError: the data have subjects or overlapping recordings, which it would mix.
        """
        check_fold("RandomSplit", fold, 1)
        check_fraction("RandomSplit.test", self.test)
        check_fraction("RandomSplit.test + validation", self.test + self.validation)
        if dataset.subjects is not None or dataset.recordings is not None:
            raise UserError(
                f"RandomSplit: data set {dataset.name!r} has subjects or recordings, which a "
                "random split would put on two sides; use LeaveOneSubjectOut or GroupedFolds"
            )
        everyone = np.arange(len(dataset))
        rng = np.random.default_rng([self.seed, 1])
        test = draw(dataset, everyone, self.test, rng)
        rest = np.setdiff1d(everyone, test)
        chosen = draw(dataset, rest, self.validation / (1 - self.test), rng)
        return Split("random", np.setdiff1d(rest, chosen), chosen, test)


@dataclass(frozen=True)
class Thinned:
    """Another split with fewer training samples of some classes: a long tail made of real data.

    Validation and test stay as they are.

    Args:
        of: the split that is thinned.
        keep: class name -> fraction of its training samples that is kept, in (0, 1], but at least one
            sample. Classes that are not named keep all.
        seed: for the draw.

    Raises:
        UserError: a fraction outside (0, 1].
    """

    of: Splitter
    keep: Mapping[str, float]
    seed: int = 0

    def __post_init__(self) -> None:
        for name, fraction in self.keep.items():
            if not 0 < fraction <= 1:
                raise UserError(
                    f"Thinned.keep.{name}: found {fraction}, allowed is above 0 up to 1"
                )

    def count(self, dataset: DataSet) -> int:
        """Return the number of folds of the other split."""
        return self.of.count(dataset)

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the fold of the other split, thinned.

        Raises:
            UserError: a name that is no class.
        """
        for name in self.keep:
            if name not in dataset.class_names:
                raise unknown("Thinned.keep", "class", name, dataset.class_names)
        whole = self.of.split(dataset, fold)
        labels = dataset.labels[whole.train]
        kept = []
        for number, name in enumerate(dataset.class_names):
            members = whole.train[labels == number]
            # A stream per class: another fraction for one class leaves the choice in all others as it is.
            drawn = np.random.default_rng([self.seed, fold, number]).permutation(members)
            kept.append(drawn[: max(1, round(self.keep.get(name, 1.0) * len(members)))])
        return replace(whole, name=f"{whole.name}-thinned", train=np.sort(np.concatenate(kept)))


@dataclass(frozen=True)
class FewShot:
    """Another split with the same number of training samples of every class.

    Validation and test stay as they are. Fewer shots are a part of more shots with the same seed, and every method
    gets the same samples.

    Args:
        of: the split whose training side is drawn from.
        shots: samples of each class; None: all there are.
        seed: for the draw.

    Raises:
        UserError: fewer than one shot.

    Source:
        The protocol of few-shot transfer of CLIP (1, 2, 4, 8, 16 shots, all), as LaBo and CoOp run it.
    """

    of: Splitter
    shots: int | None = 16
    seed: int = 1

    def __post_init__(self) -> None:
        if self.shots is not None and self.shots < 1:
            raise UserError(f"FewShot.shots: found {self.shots}, allowed is 1 or more, or null")

    def count(self, dataset: DataSet) -> int:
        """Return the number of folds of the other split."""
        return self.of.count(dataset)

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the fold of the other split with a few training samples.

        Raises:
            UserError: a class has fewer training samples than shots.
        """
        whole = self.of.split(dataset, fold)
        if self.shots is None:
            return whole
        train = few(
            dataset.labels, dataset.class_names, whole.train, self.shots, [self.seed, fold], "FewShot.shots"
        )  # fmt: skip
        name = f"{whole.name}-{self.shots}-shot"
        return replace(whole, name=name, train=train)


@dataclass(frozen=True)
class Transductive:
    """Training on the images that are tested, without their labels: domain generalisation as published.

    There is no validation side, so nothing can be chosen by it: every stage must state ``train: {select: last}``
    and ``unlabelled: true``, which hides the labels of training samples. These numbers are those of a network that
    has seen its test images; ``transfer`` measures one that has not.

    Source:
        Li et al. 2024, PromptKD, arXiv:2403.02781, domain generalisation: the student is distilled on the
        unlabelled images of the target (ImageNet V2, Sketch, A, R), which are its evaluation data.
    """

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the official test part, or all samples where there is none, on both sides."""
        check_fold("Transductive", fold, 1)
        index = tested(dataset)
        return Split("transductive", index, index[:0], index, transductive=True)


def unseen_classes(dataset: DataSet, split: Split) -> tuple[str, ...]:
    """Return the classes of the test side that training never sees."""
    missing = np.setdiff1d(dataset.labels[split.test], dataset.labels[split.train])
    return tuple(dataset.class_names[number] for number in missing)


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
