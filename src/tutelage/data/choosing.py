"""How the splits pick subjects and samples, and what they refuse."""

import random
from collections.abc import Sequence

import numpy as np

from tutelage.data.dataset import DataSet, Ints, Strings
from tutelage.data.names import natural
from tutelage.errors import UserError


def column(dataset: DataSet, place: str) -> Strings:
    """Return the subject of every sample, [N].

    Raises:
        UserError: the data set has no subjects.
    """
    if dataset.subjects is None:
        raise UserError(
            f"{place}: data set {dataset.name!r} has no subjects, so it cannot be split by them; "
            "use OfficialSplit or RandomSplit"
        )
    return dataset.subjects


def subjects_of(dataset: DataSet, place: str) -> list[str]:
    """Return the different subjects in natural order.

    Raises:
        UserError: the data set has no subjects.
    """
    return sorted((str(name) for name in np.unique(column(dataset, place))), key=natural)


def sessions_of(dataset: DataSet, place: str) -> Strings:
    """Return the session of every sample, [N]: the data set's, else which recording of its person it is, from 1.

    Raises:
        UserError: the data set has neither sessions nor subjects with recordings.
    """
    if dataset.sessions is not None:
        return dataset.sessions
    if dataset.subjects is None or dataset.recordings is None:
        raise UserError(
            f"{place}: data set {dataset.name!r} has no sessions, nor recordings of subjects, so it cannot be "
            "split by them; use LeaveOneSubjectOut, OfficialSplit or RandomSplit"
        )
    sessions = np.zeros(len(dataset), np.int64)
    for name in np.unique(dataset.subjects):
        mine = dataset.subjects == name
        sessions[mine] = np.unique(dataset.recordings[mine], return_inverse=True)[1] + 1
    return sessions.astype(np.str_)


def check_fold(place: str, fold: int, count: int) -> None:
    """Refuse a fold that does not exist.

    Raises:
        UserError: the fold is not in 0 to count - 1.
    """
    if not 0 <= fold < count:
        raise UserError(f"{place}: found fold {fold}, allowed are 0 to {count - 1}")


def check_fraction(place: str, value: float) -> None:
    """Refuse what is no fraction below the whole.

    Raises:
        UserError: the value is not in [0, 1).
    """
    if not 0 <= value < 1:
        raise UserError(f"{place}: found {value}, allowed are fractions from 0 to below 1")


def choose_validation(
    dataset: DataSet, place: str, tested: list[str], number: int, seed: list[int]
) -> list[str]:
    """Return validation subjects, chosen by the seed among those that are not tested.

    One by one, the subject is taken that leaves most classes to training; among these the one
    that adds most classes to validation; among these the first in an order drawn from the seed.

    Args:
        dataset: the data, with subjects.
        place: name of the splitter, for the sentence.
        tested: subjects of the test side.
        number: how many to choose.
        seed: of the draw.

    Raises:
        UserError: nobody would be left to train on.
    """
    free = [name for name in subjects_of(dataset, place) if name not in tested]
    if not 0 <= number < len(free):
        raise UserError(
            f"{place}.validation: found {number}, allowed are 0 to {len(free) - 1} subjects: "
            f"{len(free)} are not tested, and one must be left to train on"
        )
    free = [free[i] for i in np.random.default_rng(seed).permutation(len(free))]
    owner = column(dataset, place)
    classes = {name: set(dataset.labels[owner == name].tolist()) for name in free}
    chosen: list[str] = []
    covered: set[int] = set()
    for _ in range(number):
        left = [name for name in free if name not in chosen]
        kept = {
            name: set[int]().union(*(classes[other] for other in left if other != name))
            for name in left
        }
        ranks = [(-len(kept[name]), -len(classes[name] - covered)) for name in left]
        best = left[ranks.index(min(ranks))]
        chosen.append(best)
        covered |= classes[best]
    return sorted(chosen, key=natural)


def draw(dataset: DataSet, pool: Ints, fraction: float, rng: np.random.Generator) -> Ints:
    """Return this fraction of every class of a pool, rounded to samples, in increasing order.

    Args:
        dataset: the data.
        pool: sample numbers to draw from.
        fraction: in [0, 1).
        rng: draws them.
    """
    parts = [np.empty(0, np.int64)]
    for number in range(len(dataset.class_names)):
        members = pool[dataset.labels[pool] == number]
        parts.append(rng.permutation(members)[: round(fraction * len(members))])
    return np.sort(np.concatenate(parts))


def few(
    labels: Ints,
    class_names: Sequence[str],
    index: Ints,
    shots: int,
    seed: Sequence[int],
    place: str,
    classes: Sequence[int] | None = None,
) -> Ints:
    """Return the same number of samples of every class, increasing.

    Fewer shots are a part of more shots, and a class's draw does not depend on which other classes are drawn.

    Args:
        labels: of all samples, [N].
        class_names: C names.
        index: sample numbers to draw from.
        shots: of each class.
        seed: of the draw.
        place: what asks for them, for the sentence.
        classes: numbers of the classes to draw from; None: all.

    Raises:
        UserError: a class has fewer samples than shots.
    """
    kept = []
    for number in range(len(class_names)) if classes is None else classes:
        members = index[labels[index] == number]
        if len(members) < shots:
            raise UserError(
                f"{place}: found {shots}, but class {class_names[number]!r} has {len(members)} training "
                "samples"
            )
        kept.append(np.random.default_rng([*seed, number]).permutation(members)[:shots])
    return np.sort(np.concatenate(kept))


def few_as_coop(
    labels: Ints, listed: Ints | None, index: Ints, shots: int, seed: int, place: str
) -> Ints:
    """Return the few-shot draw of CoOp's code, in its order: classes as the publisher's list first names them.

    One stream of Python's generator goes through all classes, so a class's draw depends on those before it. A
    class with fewer samples than shots gives all.

    Args:
        labels: of all samples, [N].
        listed: place of each sample in the publisher's list, [N], or None.
        index: sample numbers to draw from: the publisher's whole training part, for the authors' samples.
        shots: of each class.
        seed: the authors' ``SEED``.
        place: what asks for them, for the sentence.

    Raises:
        UserError: the data set keeps no list.

    Source:
        KaiyangZhou/CoOp@ff61507 (``datasets/oxford_pets.py`` and its likes draw from the training part before the
        classes are halved) with KaiyangZhou/Dassl.pytorch@c61a1b5 (``generate_fewshot_dataset``).
    """
    if listed is None:
        raise UserError(
            f"{place}: found coop, but the data set keeps no order of its publisher (allowed: the sets that come "
            "with a list of their parts; of images stored by an earlier version, delete their folder in the data "
            "cache)"
        )
    ordered = index[np.argsort(listed[index], kind="stable")]
    ordered = ordered[labels[ordered] >= 0]
    stream = random.Random(seed)
    drawn: list[int] = []
    for label in dict.fromkeys(labels[ordered].tolist()):
        members = ordered[labels[ordered] == label].tolist()
        drawn += stream.sample(members, shots) if len(members) >= shots else members
    return np.array(drawn, np.int64)


def tested(dataset: DataSet) -> Ints:
    """Return the samples of the official test part, or all where there is none; only those with a label."""
    official, known = dataset.official_test, dataset.labels >= 0
    return np.flatnonzero(known if official is None or not official.any() else known & official)


def classes_in_turn(labels: Ints, index: Ints, most: int, rng: np.random.Generator) -> Ints:
    """Return up to ``most`` of these ids, drawn without replacement: one of each class, then another of each.

    Args:
        labels: of all samples, [N].
        index: ids to draw from.
        most: how many.
        rng: draws.
    """
    drawn = rng.permutation(index)
    kinds = labels[drawn]
    rank = np.zeros(len(drawn), dtype=np.int64)
    for kind in np.unique(kinds):
        mine = kinds == kind
        rank[mine] = np.arange(int(mine.sum()))
    chosen: Ints = drawn[np.argsort(rank, kind="stable")[:most]]
    return chosen
