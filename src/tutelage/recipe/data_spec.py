"""What decides the samples of runs, and how they are split."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tutelage import data as datasets
from tutelage import seals
from tutelage.data import DataSet, leakage
from tutelage.data.split import Split, refuse_one_class
from tutelage.data.unlabelled import count_labelled, split_labelled
from tutelage.errors import UserError
from tutelage.recipe.config import Protocol, Recipe
from tutelage.recipe.instantiate import build

__all__ = ["DataSpec", "Progress", "folds", "hash_of", "load_data", "split_of"]

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class DataSpec:
    """What decides the samples of runs: which there are, who is trained on, and how they are represented.

    Args:
        data: description of the data set.
        split: description of the split.
        modalities: name -> description.
        standardise: how the standard deviation of inputs is taken.
        protocol: whether the test side is known, and whether it may decide.
        chooses: some run chooses its epoch by accuracy, so there must be validation samples.
    """

    data: Mapping[str, Any]
    split: Mapping[str, Any]
    modalities: Mapping[str, Mapping[str, Any]]
    standardise: Literal["global", "within_window"]
    protocol: Protocol
    chooses: bool

    @classmethod
    def of(cls, recipe: Recipe) -> "DataSpec":
        """Return that part of a recipe."""
        trains = [
            recipe.train_settings(name) for name, stage in recipe.stages.items() if not stage.run
        ]
        chooses = any(t.epochs and t.average is None and t.select != "last" for t in trains)
        return cls(
            recipe.data, recipe.split, recipe.inputs(), recipe.standardise, recipe.protocol, chooses
        )  # fmt: skip

    def splitter(self) -> Any:
        """Return what splits the data set."""
        return build("tutelage.data.splits", self.split, "split", method="split")


def load_data(
    description: Mapping[str, Any],
    home: Path | None = None,
    progress: Progress | None = None,
    place: str = "data",
) -> DataSet:
    """Return a data set, fetched and parsed if it is not there yet.

    Args:
        description: ``{type: Hapt, window: 128}``.
        home: root of data sets; None for the user's default.
        progress: called during long preparations.
        place: where in the recipe, for errors.
    """
    loader = build("tutelage.data", description, place, method="load")
    dataset: DataSet = loader.load(home or datasets.home(), progress)
    return dataset


def folds(recipe: Recipe, dataset: DataSet) -> list[int]:
    """Return the numbers of the folds the recipe asks for.

    Raises:
        UserError: there is no such fold.
    """
    count = count_labelled(DataSpec.of(recipe).splitter(), dataset)
    if recipe.folds == "all":
        return list(range(count))
    for fold in recipe.folds:
        if not 0 <= fold < count:
            raise UserError(f"folds: found {fold}; allowed: 0 to {count - 1}, or all")
    return list(recipe.folds)


def split_of(spec: DataSpec, dataset: DataSet, fold: int, cache: Path) -> Split:
    """Return one split, after the leakage scan.

    The scan reads every sample; that a split was found clean is remembered below ``cache``, because a
    set of images as large as ImageNet takes minutes to read.

    Raises:
        UserError: the split leaks, there is no test side, or no validation under the honest protocol.
    """
    split = split_labelled(spec.splitter(), dataset, fold)
    if spec.protocol != "refit" and len(split.test) == 0:
        raise UserError(
            f"split.test: found 0 in {split.name!r}; then nothing says how good a network is (allowed: 1 or more; "
            "tutelage ship --refit trains on everybody after a study)"
        )
    if spec.protocol == "blind" and len(split.validation) == 0:
        raise UserError(
            "split.validation: found 0; under protocol: blind nothing else is evaluated (allowed: 1 or more)"
        )
    if spec.protocol == "honest" and len(split.validation) == 0 and spec.chooses:
        raise UserError(
            "split.validation: found 0; the honest protocol chooses the epoch on validation subjects "
            "(allowed: 1 or more; train: {select: last}, which chooses nothing; or protocol: legacy)"
        )
    refuse_one_class(dataset, split)
    # Of this version of the scan: a stricter one must look again.
    scanned = f"{leakage.VERSION}|{dataset.fingerprint}{'|within subjects' * split.within_subjects}"
    clean = cache / "clean" / hash_of(split, scanned)

    def scan() -> str:
        leakage.refuse_leakage(dataset, split)
        return "clean\n"

    seals.kept(clean, Path.read_text, scan, Path.write_text)
    return split


def hash_of(split: Split, salt: str) -> str:
    """Return the hash of all sides of a split."""
    digest = hashlib.sha256(salt.encode())
    for side in split.sides().values():
        digest.update(len(side).to_bytes(8, "little") + side.astype("<i8").tobytes())
    return digest.hexdigest()
