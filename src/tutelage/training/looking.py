"""Trained networks looked at once more: which test samples, and what the features of a network say of them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage import checkpoint
from tutelage.batches import Samples, batches
from tutelage.data import DataSet
from tutelage.errors import UserError
from tutelage.models import On
from tutelage.modes import evaluating
from tutelage.recipe.fold import Fold
from tutelage.recipe.keys import Train
from tutelage.recipe.networks import load_network
from tutelage.runs.folder import checkpoint_of
from tutelage.runs.run import Run
from tutelage.seeds import derive
from tutelage.steps.base import Device
from tutelage.training.settings import make_fabric

__all__ = ["LookedAt", "feature_of", "hear", "kept_of", "refuse_other_data", "test_samples"]

_AGREE = 0.99  # of the stored predictions, at least; other batches and devices round otherwise


@dataclass(frozen=True, eq=False)
class LookedAt:
    """One trained network with the data of its fold.

    Args:
        run: complete.
        data: its fold.
        accelerator: ``cpu``, ``cuda`` or ``auto``.

    Raises:
        UserError: the data are not those of the run, or there is no network.
    """

    run: Run
    data: Fold
    accelerator: str

    def __post_init__(self) -> None:
        refuse_other_data(self.run, self.data.dataset)

    @cached_property
    def weights(self) -> str:
        """SHA-256 of the network."""
        return checkpoint.digest(self.path)

    @property
    def path(self) -> Path:
        """The file of the network."""
        path = checkpoint_of(self.run.folder)
        if not path.is_file():
            raise UserError(f"{path}: is missing; run the recipe again")
        return path

    @cached_property
    def fabric(self) -> Device:
        """Its device; in single precision."""
        return make_fabric(Train(), self.accelerator)

    def network(self) -> On:
        """Return the network, as it is deployed."""
        return load_network(self.path)[0].to(self.fabric.device)

    def samples(self, network: On) -> Samples:
        """Return the samples with what the network reads."""
        return self.data.samples([network.modality])


def refuse_other_data(run: Run, dataset: DataSet) -> None:
    """Do nothing where data are those that a run was trained on.

    Raises:
        UserError: they are others.
    """
    known, found = run.record.data, dataset.fingerprint
    if known.fingerprint != found:
        raise UserError(
            f"{run.folder}: was trained on {known.name} {known.fingerprint[:10]}; the data that are there now are "
            f"{found[:10]}"
        )


class _Found(Protocol):
    @property
    def header(self) -> Any: ...

    @property
    def index(self) -> NDArray[np.int64]: ...


Found = TypeVar("Found", bound=_Found)


def kept_of(
    looked: LookedAt, index: NDArray[np.int64], read: Callable[[Path, str], Found | None]
) -> Found | None:
    """Return what a run folder keeps of an earlier look, if it is of this network and these samples.

    Args:
        looked: the network.
        index: the samples.
        read: reads it from a run folder with a fingerprint.
    """
    try:
        known = read(looked.run.folder, looked.run.fingerprint)
    except UserError:
        return None
    if known is None or known.header.weights != looked.weights:
        return None
    return known if np.array_equal(known.index, index) else None


def test_samples(data: Fold, most: int) -> NDArray[np.int64]:
    """Return ids of labelled test samples of a fold, at most so many, in order; the same for every network.

    Raises:
        UserError: there are none: the protocol is blind.
    """
    test = data.split.test[data.dataset.labels[data.split.test] >= 0]
    if not len(test):
        raise UserError(
            "look: this experiment leaves its test split unread (allowed: protocol: honest or legacy)"
        )
    if len(test) <= most:
        return np.sort(test)
    rng = np.random.default_rng(derive(0, "look", data.split.name))
    return np.sort(rng.choice(test, most, replace=False))


def hear(looked: LookedAt, index: NDArray[np.int64], batch_size: int = 256) -> dict[str, Tensor]:
    """Return the features of a network for these samples, [n, ...] each, float32, on the CPU.

    Raises:
        UserError: the network does not say what its run folder says it said.
    """
    network, features, said = looked.network(), dict[str, list[Tensor]](), list[Tensor]()
    samples = looked.samples(network)
    with evaluating(network), torch.no_grad():
        for batch in batches(samples, torch.from_numpy(index), batch_size):
            output = network(batch.to(looked.fabric.device))
            said.append(output.logits.float().cpu())
            for name, values in output.features.items():
                features.setdefault(name, []).append(values.float().cpu())
    _refuse_other(looked.run, index, torch.cat(said).argmax(dim=1).numpy())
    return {name: torch.cat(parts) for name, parts in features.items()}


def feature_of(features: Mapping[str, Tensor], run: Run) -> tuple[str, Tensor]:
    """Return name and values of the last feature, [n, D]: the embedding, or the last one averaged over space.

    Raises:
        UserError: the network has no features.
    """
    if not features:
        raise UserError(
            f"{run.folder}: {run.stage} has no features to look at (--stages leaves it out)"
        )
    name = "embedding" if "embedding" in features else list(features)[-1]
    values = features[name]
    return name, values if values.ndim == 2 else values.flatten(2).mean(dim=2)


def _refuse_other(run: Run, index: NDArray[np.int64], said: NDArray[np.int64]) -> None:
    stored = run.predictions()
    if stored is None:
        return
    known = dict(zip(stored.index.tolist(), stored.logits.argmax(axis=1).tolist(), strict=True))
    same = [
        known[i] == now for i, now in zip(index.tolist(), said.tolist(), strict=True) if i in known
    ]
    if same and np.mean(same) < _AGREE:
        raise UserError(
            f"{run.folder}: the network predicts {np.mean(same):.1%} of predictions-test.npz; was the network or "
            "the data changed?"
        )
