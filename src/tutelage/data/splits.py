"""Who is trained on, who decides, who is tested: splits by subject, or by the publisher."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from tutelage.data.choosing import check_fold, check_fraction, draw, few, few_as_coop, tested
from tutelage.data.copies import without_copies
from tutelage.data.dataset import DataSet, Ints
from tutelage.data.split import Split, Splitter
from tutelage.data.subject_splits import GroupedFolds, LeaveOneSubjectOut, NamedSubjects, SessionOut
from tutelage.data.time_split import TimeSplit
from tutelage.errors import UserError, unknown, within

__all__ = [
    "LeaveOneSubjectOut", "GroupedFolds", "NamedSubjects", "SessionOut", "TimeSplit", "OfficialSplit",
    "RandomSplit", "Thinned", "FewShot", "Transductive", "Everybody",
]  # fmt: skip


@dataclass(frozen=True)
class OfficialSplit:
    """The publisher's test part; validation is the publisher's, or taken from the training part.

    With subjects in the data, validation takes whole subjects, else whole recordings, else samples, class by
    class.

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

    def __post_init__(self) -> None:
        within("[0, inf)", **{"OfficialSplit.seed": self.seed})

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
        owners = dataset.recordings if dataset.subjects is None else dataset.subjects
        if owners is None:
            return draw(dataset, rest, fraction, rng)
        units = rng.permutation(np.unique(owners[rest]))
        if fraction > 0 and len(units) == 1:
            unit = "recording" if dataset.subjects is None else "subject"
            raise UserError(
                f"OfficialSplit.validation: found {fraction}, but outside the test part of {dataset.name!r} there "
                f"is one {unit} only, and it must be left to train on; allowed is 0"
            )
        drawn = units[: min(int(np.ceil(fraction * len(units))), len(units) - 1)]
        return rest[np.isin(owners[rest], drawn)]


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

    def __post_init__(self) -> None:
        within("[0, inf)", **{"RandomSplit.seed": self.seed})

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
        check_fraction("RandomSplit.validation", self.validation)
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
        within("[0, inf)", **{"Thinned.seed": self.seed})
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

    Validation and test stay as they are, and every method gets the same samples. Fewer shots are a part of more
    shots with the same seed, except with ``draw: coop``.

    Args:
        of: the split whose training side is drawn from.
        shots: samples of each class; None: all there are.
        seed: for the draw.
        draw: ``coop``: the samples that the code of CoOp, PromptSRC and PromptKD draws with this seed; see
            :func:`~tutelage.data.choosing.few_as_coop`. None: ours.

    Raises:
        UserError: fewer than one shot.

    Source:
        The protocol of few-shot transfer of CLIP (1, 2, 4, 8, 16 shots, all), as LaBo and CoOp run it.
    """

    of: Splitter
    shots: int | None = 16
    seed: int = 1
    draw: Literal["coop"] | None = None

    def __post_init__(self) -> None:
        within("[0, inf)", **{"FewShot.seed": self.seed})
        if self.draw not in (None, "coop"):
            raise unknown("FewShot.draw", "draw", str(self.draw), ["coop"])
        if self.shots is not None and self.shots < 1:
            raise UserError(f"FewShot.shots: found {self.shots}, allowed is 1 or more, or null")

    def count(self, dataset: DataSet) -> int:
        """Return the number of folds of the other split."""
        return self.of.count(dataset)

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return the fold of the other split with a few training samples.

        Raises:
            UserError: a class has fewer training samples than shots, or there is no list that CoOp draws from.
        """
        whole = self.of.split(dataset, fold)
        if self.shots is None:
            return whole
        if self.draw is not None:
            drawn = few_as_coop(
                dataset.labels, dataset.listed, whole.train, self.shots, self.seed, "FewShot.draw"
            )  # fmt: skip
            return replace(whole, name=f"{whole.name}-{self.shots}-shot-coop", train=np.sort(drawn))
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


@dataclass(frozen=True)
class Everybody:
    """Every sample that another split uses on any side is trained on; nobody decides and nobody is tested.

    For the network that is deployed after a study: ``tutelage ship --refit`` writes such recipes. How good that
    network is, the study has said of networks made in the same way.

    Args:
        of: the split whose sides are put together.
    """

    of: Splitter

    def count(self, dataset: DataSet) -> int:
        """Return 1."""
        return 1

    def split(self, dataset: DataSet, fold: int = 0) -> Split:
        """Return one training side with everybody, and two that are empty.

        Raises:
            UserError: the other split trains on its test samples, whose labels it must not know.
        """
        check_fold("Everybody", fold, 1)
        whole = self.of.split(dataset, 0)
        if whole.transductive:
            raise UserError(
                f"Everybody.of: found split {whole.name!r}, which hides the labels of its test samples, allowed "
                "is one whose labels may all be known"
            )
        train = np.unique(np.concatenate(list(whole.sides().values())))
        return Split("everybody", train, train[:0], train[:0])
