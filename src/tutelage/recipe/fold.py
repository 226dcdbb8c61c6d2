"""Data, split and representations of one fold, ready for training."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from sklearn.base import BaseEstimator
from torch import Tensor

from tutelage import checkpoint, seals
from tutelage import data as datasets
from tutelage.batches import Samples
from tutelage.data import DataSet, leakage
from tutelage.data.split import Split
from tutelage.errors import UserError, unknown
from tutelage.modalities.cache import Blocks, is_represented, represent
from tutelage.modalities.stored import Stored
from tutelage.recipe.config import Recipe
from tutelage.recipe.instantiate import build
from tutelage.vlm import EncoderSource
from tutelage.vlm.texts import Remembering

__all__ = ["Fold", "choosing", "folds", "load_data", "tensor_of"]

Progress = Callable[[str, float], None]
Statistics = tuple[Tensor, Tensor]


def load_data(recipe: Recipe, home: Path | None, progress: Progress | None) -> DataSet:
    """Return the recipe's data set, fetched and parsed if it is not there yet."""
    loader = build("tutelage.data", recipe.data, "data", method="load")
    dataset: DataSet = loader.load(home or datasets.home(), progress)
    return dataset


def folds(recipe: Recipe, dataset: DataSet) -> list[int]:
    """Return the numbers of the folds the recipe asks for.

    Raises:
        UserError: there is no such fold.
    """
    splitter = build("tutelage.data.splits", recipe.split, "split", method="split")
    count = splitter.count(dataset)
    if recipe.folds == "all":
        return list(range(count))
    for fold in recipe.folds:
        if not 0 <= fold < count:
            raise UserError(f"folds: found {fold}; allowed: 0 to {count - 1}, or all")
    return list(recipe.folds)


def split_of(recipe: Recipe, dataset: DataSet, fold: int, cache: Path) -> Split:
    """Return one split, after the leakage scan.

    The scan reads every sample; that a split was found clean is remembered below ``cache``, because a
    set of images as large as ImageNet takes minutes to read.

    Raises:
        UserError: the split leaks, or there is no validation under the honest protocol.
    """
    splitter = build("tutelage.data.splits", recipe.split, "split", method="split")
    split: Split = splitter.split(dataset, fold)
    if recipe.protocol == "blind" and len(split.validation) == 0:
        raise UserError(
            "split.validation: found 0; under protocol: blind nothing else is evaluated (allowed: 1 or more)"
        )
    if recipe.protocol == "honest" and len(split.validation) == 0 and choosing(recipe):
        raise UserError(
            "split.validation: found 0; the honest protocol chooses the epoch on validation subjects "
            "(allowed: 1 or more; train: {select: last}, which chooses nothing; or protocol: legacy)"
        )
    # Of this version of the scan: a stricter one must look again.
    clean = cache / "clean" / _hash_of(split, f"{leakage.VERSION}|{dataset.fingerprint}")

    def scan() -> str:
        leakage.refuse_leakage(dataset, split)
        return "clean\n"

    seals.kept(clean, Path.read_text, scan, Path.write_text)
    return split


def choosing(recipe: Recipe) -> list[str]:
    """Return the stages whose epoch is chosen by its accuracy."""
    trains = {name: recipe.train_of(name) for name in recipe.stages if not recipe.stages[name].run}
    return [
        name
        for name, train in trains.items()
        if train.epochs and train.average is None and train.select != "last"
    ]


@dataclass(frozen=True, eq=False)
class Fold:
    """One split of the data with the modalities made from it.

    Args:
        dataset: the data.
        split: who is trained on, chosen on, tested on.
        modalities: name -> description in the recipe.
        standardise: how the standard deviation of inputs is taken.
        cache: folder of the representations.
        picked: which samples of the whole data set these are, for a dry run; None for all.
        total: samples of the whole data set, for a dry run.
        whole: the split with its test side, where ``split`` has none because the protocol is blind.
    """

    dataset: DataSet
    split: Split
    modalities: Mapping[str, Mapping[str, Any]]
    standardise: Literal["global", "within_window"]
    cache: Path
    picked: npt.NDArray[np.int64] | None = None
    total: int | None = None
    whole: Split | None = None

    @classmethod
    def of(cls, recipe: Recipe, dataset: DataSet, fold: int, cache: Path) -> "Fold":
        """Return one fold of a recipe; nothing is computed yet."""
        if dataset.modality in recipe.modalities:
            raise UserError(
                f"modalities.{dataset.modality}: is the name of the data set's own input; "
                "give the representation another name"
            )
        whole = split_of(recipe, dataset, fold, cache)
        # Whoever works with a blind fold cannot even ask which samples are tested.
        split = replace(whole, test=whole.test[:0]) if recipe.protocol == "blind" else whole
        return cls(dataset, split, recipe.modalities, recipe.standardise, cache, whole=whole)

    def small(self, count: int, classes: Sequence[str] = ()) -> "Fold":
        """Return the same fold with at most ``count`` training and a few validation samples, for a dry run.

        Args:
            count: of training samples.
            classes: names of the classes to take; none for all.
        """
        sides = [self.split.train, self.split.validation]
        if classes:
            numbers = [self.dataset.class_names.index(name) for name in classes]
            sides = [side[np.isin(self.dataset.labels[side], numbers)] for side in sides]
        train = _spread(sides[0], self.dataset.labels, count)
        rest = _spread(sides[1], self.dataset.labels, 16)
        kept = np.concatenate([train, rest])
        d = self.dataset
        dataset = DataSet(
            d.name, d.modality, np.asarray(d.inputs[kept]), d.labels[kept],
            None if d.subjects is None else d.subjects[kept], d.class_names, d.channel_names,
            d.rate, d.window, synthetic=d.synthetic,
            concepts={scope: np.asarray(values[kept]) for scope, values in d.concepts.items()},
            concept_names=d.concept_names,
        )  # fmt: skip
        ids = np.arange(len(kept))
        split = Split(self.split.name, ids[: len(train)], ids[len(train) :], ids[:0])
        return Fold(dataset, split, self.modalities, self.standardise, self.cache, kept, len(d))

    def check_input(self, name: str, place: str) -> None:
        """Raise if there is no such modality."""
        names = [self.dataset.modality, *self.modalities]
        if name not in names:
            raise unknown(place, "modality", name, names)

    def key(self, name: str) -> str:
        """Return the hash of everything the values of a modality depend on."""
        parts = [self.dataset.fingerprint]
        if name != self.dataset.modality:
            parts += [json.dumps(self.modalities[name], sort_keys=True), self.train_hash]
            content = getattr(self._modality(name), "content", "")
            parts += [content] if content else []
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    @cached_property
    def train_hash(self) -> str:
        """Hash of the sample ids of the training split."""
        return hashlib.sha256(self.split.train.astype("<i8").tobytes()).hexdigest()

    @cached_property
    def hash(self) -> str:
        """Hash of all three sides of the split and of the standardisation."""
        return _hash_of(self.whole or self.split, self.standardise)

    def values(
        self, name: str, progress: Progress | None = None, blocks: Blocks | None = None
    ) -> npt.NDArray[Any]:
        """Return one modality for all samples, [N, ...]; made if it is not cached yet, by ``blocks`` if given."""
        if name == self.dataset.modality:
            return self.dataset.inputs
        modality = self._modality(name)
        if isinstance(modality, Stored):
            return self._stored(modality, name)
        if self.picked is not None:  # a dry run: a few samples, not worth a place in the cache
            modality.fit(self.dataset.inputs[self.split.train])
            found: npt.NDArray[Any] = modality.transform(self.dataset.inputs)
            return found

        def tell(done: int, total: int) -> None:
            if progress is not None:
                progress(f"{name} of {total:,} windows", done / max(1, total))

        return represent(
            modality,
            self.dataset.inputs,
            source=self.dataset.fingerprint,
            train=self.split.train,
            folder=self.cache,
            progress=tell,
            blocks=blocks,
        )

    def has(self, name: str) -> bool:
        """Return whether the values of a modality are there already, so that nothing has to be computed."""
        if name == self.dataset.modality or isinstance(modality := self._modality(name), Stored):
            return True
        return is_represented(
            modality,
            self.dataset.inputs,
            source=self.dataset.fingerprint,
            train=self.split.train,
            folder=self.cache,
        )

    def _modality(self, name: str) -> Any:
        return build(
            "tutelage.modalities", self.modalities[name], f"modalities.{name}", base=BaseEstimator
        )

    def encoder(self, name: str) -> EncoderSource | None:
        """Return the dual encoder that makes a modality, with texts remembered on disk; None where none does."""
        if name == self.dataset.modality:
            return None
        source = getattr(self._modality(name), "encoder", None)
        return None if source is None else Remembering(source, self.cache / "texts")

    def _stored(self, modality: Stored, name: str) -> npt.NDArray[Any]:
        values = modality.open(f"modalities.{name}")
        total = self.total or len(self.dataset)
        if len(values) != total:
            raise UserError(
                f"modalities.{name}: {modality.path} holds {len(values)} samples, but the data set has "
                f"{total} windows; all modalities must be made from the same windows"
            )
        if self.picked is not None:
            return np.asarray(values[self.picked])
        return values

    def samples(self, names: Sequence[str], progress: Progress | None = None) -> Samples:
        """Return the samples with these modalities."""
        return Samples(
            {name: tensor_of(self.values(name, progress)) for name in names},
            torch.from_numpy(self.dataset.labels),
            self.dataset.class_names,
            self.dataset.subjects,
            {name: self.key(name) for name in names},
            {scope: tensor_of(values) for scope, values in self.dataset.concepts.items()},
            self.dataset.concept_names,
        )

    def statistics(self, name: str, values: Tensor) -> Statistics:
        """Return mean and standard deviation per channel over the training split; computed once.

        ``within_window`` takes the mean over windows of the standard deviation inside each window,
        as the published sensor code does; a channel that never changes gets 1. A modality that is to be read as it
        is gets 0 and 1.

        Args:
            name: of the modality.
            values: its samples, [N, channels, ...].
        """
        if name != self.dataset.modality and getattr(self._modality(name), "as_is", False):
            return torch.zeros(values.shape[1]), torch.ones(values.shape[1])
        if self.picked is not None:
            return self._statistics(values)
        key = hashlib.sha256(f"{self.key(name)}|{self.hash}".encode()).hexdigest()[:32]
        kept = self.cache / "statistics" / f"{key}.safetensors"
        return seals.kept(
            kept, _read_statistics, lambda: self._statistics(values), _write_statistics
        )

    def _statistics(self, values: Tensor) -> Statistics:
        train = torch.from_numpy(self.split.train)
        total = square = within = torch.zeros(values.shape[1], dtype=torch.float64)
        count = 0
        # At most half a gigabyte in double precision at a time.
        rows = max(1, min(512, 2**26 // values[0].numel()))
        for start in range(0, len(train), rows):
            x = values[train[start : start + rows]].double()
            x = x.reshape(len(x), values.shape[1], -1)  # vectors are of one point
            total = total + x.sum(dim=(0, 2))
            square = square + x.square().sum(dim=(0, 2))
            within = within + x.std(dim=2, correction=0).sum(dim=0)
            count += len(x)
        points = count * values[0, 0].numel()
        mean = total / points
        if self.standardise == "global":
            std = (square / points - mean.square()).clamp_min(0).sqrt()
        else:
            std = within / count
        std = torch.where(std > 1e-6 * mean.abs().clamp_min(1e-6), std, 1.0)
        return mean.float(), std.float()


def _read_statistics(path: Path) -> Statistics:
    known = checkpoint.read(path)
    return known["mean"], known["std"]


def _write_statistics(path: Path, statistics: Statistics) -> None:
    checkpoint.write(path, {"mean": statistics[0], "std": statistics[1]})


def _hash_of(split: Split, salt: str) -> str:
    digest = hashlib.sha256(salt.encode())
    for side in split.sides().values():
        digest.update(len(side).to_bytes(8, "little") + side.astype("<i8").tobytes())
    return digest.hexdigest()


def _spread(index: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], count: int) -> Any:
    """Return up to ``count`` ids, classes taken in turn."""
    rank = np.zeros(len(index), dtype=np.int64)
    for label in np.unique(labels[index]):
        mine = labels[index] == label
        rank[mine] = np.arange(int(mine.sum()))
    return np.sort(index[np.argsort(rank, kind="stable")[:count]])


def tensor_of(values: npt.NDArray[Any]) -> Tensor:
    """Return an array as a tensor; a memory-map stays on disk."""
    if isinstance(values, np.memmap) and not values.flags.writeable:
        # torch wants a writable buffer; copy-on-write gives one and never touches the file.
        values = np.load(str(values.filename), mmap_mode="c", allow_pickle=False)
    return torch.from_numpy(values)
