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
from torch import Tensor

from tutelage import checkpoint, seals
from tutelage.batches import Samples
from tutelage.data import DataSet
from tutelage.data.split import Split
from tutelage.errors import UserError, unknown
from tutelage.modalities import Representation
from tutelage.modalities.answers import Answers, missing
from tutelage.modalities.cache import Blocks, fitted, is_represented, represent
from tutelage.modalities.stored import OnDisk
from tutelage.moments import Moments, resolution
from tutelage.recipe.data_spec import DataSpec, Progress, hash_of, split_of
from tutelage.recipe.instantiate import build
from tutelage.vlm import EncoderSource
from tutelage.vlm.texts import Remembering

__all__ = ["Fold", "tensor_of"]

Statistics = tuple[Tensor, Tensor]
STATISTICS = 2  # version of these numbers; those that an earlier one kept are computed again


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
    def of(cls, spec: DataSpec, dataset: DataSet, fold: int, cache: Path) -> "Fold":
        """Return one fold; nothing is computed yet."""
        if dataset.modality in spec.modalities:
            raise UserError(
                f"modalities.{dataset.modality}: is the name of the data set's own input; "
                "give the representation another name"
            )
        whole = split_of(spec, dataset, fold, cache)
        # Whoever works with a blind fold cannot even ask which samples are tested.
        split = replace(whole, test=whole.test[:0]) if spec.protocol == "blind" else whole
        return cls(dataset, split, spec.modalities, spec.standardise, cache, whole=whole)

    def small(self, count: int, classes: Sequence[str] = ()) -> "Fold":
        """Return the same fold with at most ``count`` training and a few validation samples, for a dry run.

        It is kept: the stages and cells of a study try the same few samples.

        Args:
            count: of training samples.
            classes: names of the classes to take; none for all.
        """
        key = (count, *classes)
        if key not in self._small:
            self._small[key] = self._few(count, classes)
        return self._small[key]

    @cached_property
    def _small(self) -> dict[tuple[object, ...], "Fold"]:
        return {}

    @cached_property
    def _few_values(self) -> dict[str, npt.NDArray[Any]]:
        """Modality -> values of a dry run."""
        return {}

    def _few(self, count: int, classes: Sequence[str]) -> "Fold":
        sides = [self.split.train, self.split.validation]
        if classes:
            numbers = [self.dataset.class_names.index(name) for name in classes]
            sides = [side[np.isin(self.dataset.labels[side], numbers)] for side in sides]
        train = _spread(sides[0], self.dataset.labels, count)
        rest = _spread(sides[1], self.dataset.labels, 16)
        chosen = np.concatenate([train, rest])
        dataset = self.dataset.take(chosen)
        ids = np.arange(len(chosen))
        split = Split(self.split.name, ids[: len(train)], ids[len(train) :], ids[:0])
        return Fold(
            dataset, split, self.modalities, self.standardise, self.cache, chosen, len(self.dataset)
        )

    def check_input(self, name: str, place: str) -> None:
        """Raise if there is no such modality."""
        names = [self.dataset.modality, *self.modalities]
        if name not in names:
            raise unknown(place, "modality", name, names)
        if name != self.dataset.modality and isinstance(made := self._modality(name), Answers):
            self._refuse_unasked(self._stored(made, name), f"stages.{name}.stored")

    def _refuse_unasked(self, values: npt.NDArray[Any], place: str) -> None:
        unasked = self.split.train[missing(values)[self.split.train]]
        if len(unasked):
            raise UserError(
                f"{place}: has no answer for {len(unasked)} of the {len(self.split.train)} training samples of "
                f"{self.split.name}, such as sample {unasked[0]} (allowed: answers for all of them)"
            )

    def answered(self, name: str, index: npt.NDArray[np.int64]) -> bool:
        """Return whether every one of these samples has a value; stored answers may lack a side of the split."""
        if name == self.dataset.modality or not isinstance(made := self._modality(name), Answers):
            return True
        return not missing(self._stored(made, name))[index].any()

    def key(self, name: str) -> str:
        """Return the hash of everything the values of a modality depend on."""
        parts = [self.dataset.fingerprint]
        if name != self.dataset.modality:
            parts += [json.dumps(self.modalities[name], sort_keys=True), self.train_hash]
            content = self._modality(name).content
            parts += [content] if content else []
        return hashlib.sha256("|".join(parts).encode()).hexdigest()

    @cached_property
    def partly_labelled(self) -> bool:
        """Whether training samples of the data set have no label."""
        return bool((self.dataset.labels[self.split.train] < 0).any())

    @cached_property
    def train_hash(self) -> str:
        """Hash of the sample ids of the training split."""
        return hashlib.sha256(self.split.train.astype("<i8").tobytes()).hexdigest()

    @cached_property
    def hash(self) -> str:
        """Hash of all three sides of the split and of the standardisation."""
        return hash_of(self.whole or self.split, self.standardise)

    def values(
        self, name: str, progress: Progress | None = None, blocks: Blocks | None = None
    ) -> npt.NDArray[Any]:
        """Return one modality for all samples, [N, ...]; made if it is not cached yet, by ``blocks`` if given."""
        if name == self.dataset.modality:
            return self.dataset.inputs
        modality = self._modality(name)
        if isinstance(modality, OnDisk):
            return self._stored(modality, name)
        if self.picked is not None:  # a dry run: a few samples, not worth a place in the cache
            if name not in self._few_values:
                modality.fit(self.dataset.inputs[self.split.train])
                self._few_values[name] = modality.transform(self.dataset.inputs)
            return self._few_values[name]

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
        if name == self.dataset.modality or isinstance(modality := self._modality(name), OnDisk):
            return True
        return is_represented(
            modality,
            self.dataset.inputs,
            source=self.dataset.fingerprint,
            train=self.split.train,
            folder=self.cache,
        )

    def is_made(self, name: str) -> bool:
        """Return whether a modality is made from the data set's own inputs, so that it can be made from others."""
        return name == self.dataset.modality or not isinstance(self._modality(name), OnDisk)

    def maker(self, name: str) -> Callable[[npt.NDArray[Any]], npt.NDArray[Any]]:
        """Return what makes one modality of other inputs than the data set's, fitted on its training samples.

        Args:
            name: of a modality that :meth:`is_made`.
        """
        if name == self.dataset.modality:
            return lambda inputs: inputs
        made: Callable[[npt.NDArray[Any]], npt.NDArray[Any]] = fitted(
            self._modality(name), self.dataset.inputs, source=self.dataset.fingerprint,
            train=self.split.train, folder=self.cache,
        ).transform  # fmt: skip
        return made

    def _modality(self, name: str) -> Any:
        d = self.dataset
        given = {
            "rate": d.rate,
            "channel_names": list(d.channel_names),
            "class_names": list(d.class_names),
        }
        return build(
            "tutelage.modalities",
            self.modalities[name],
            f"modalities.{name}",
            base=Representation,
            given=given,
        )

    def encoder(self, name: str) -> EncoderSource | None:
        """Return the dual encoder that makes a modality, with texts remembered on disk; None where none does."""
        if name == self.dataset.modality:
            return None
        source = self._modality(name).encoder
        return None if source is None else Remembering(source, self.cache / "texts")

    def _stored(self, modality: OnDisk, name: str) -> npt.NDArray[Any]:
        place = f"stages.{name}.stored" if isinstance(modality, Answers) else f"modalities.{name}"
        values = modality.open(place, len(self.dataset.class_names))
        total = self.total or len(self.dataset)
        if len(values) != total:
            raise UserError(
                f"{place}: {modality.path} holds {len(values)} samples, but the data set has "
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
            self.dataset.listed,
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
        if name != self.dataset.modality and self._modality(name).as_is:
            return torch.zeros(values.shape[1]), torch.ones(values.shape[1])
        if self.picked is not None:
            return self._statistics(values)
        key = hashlib.sha256(f"{STATISTICS}|{self.key(name)}|{self.hash}".encode()).hexdigest()[:32]
        path = self.cache / "statistics" / f"{key}.safetensors"
        return seals.kept(
            path, _read_statistics, lambda: self._statistics(values), _write_statistics
        )

    def _statistics(self, values: Tensor) -> Statistics:
        train = torch.from_numpy(self.split.train)
        channels = values.shape[1]
        moments, within = Moments(), np.zeros(channels)
        # At most half a gigabyte in double precision at a time.
        rows = max(1, min(512, 2**26 // values[0].numel()))
        for start in range(0, len(train), rows):
            x = values[train[start : start + rows]].double()
            x = x.reshape(len(x), channels, -1)  # vectors are of one point
            moments.add(x.transpose(0, 1).reshape(channels, -1).numpy())
            within += x.std(dim=2, correction=0).sum(dim=0).numpy()
        std = moments.std if self.standardise == "global" else within / len(train)
        # What differs by rounding alone is not scaled up; and what is too small for float32 cannot be.
        least = resolution(values.numpy().dtype) * moments.largest
        std = np.where((std > least) & (std > np.finfo(np.float32).tiny), std, 1.0)
        return torch.from_numpy(moments.mean).float(), torch.from_numpy(std).float()


def _read_statistics(path: Path) -> Statistics:
    known = checkpoint.read(path)
    return known["mean"], known["std"]


def _write_statistics(path: Path, statistics: Statistics) -> None:
    checkpoint.write(path, {"mean": statistics[0], "std": statistics[1]})


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
