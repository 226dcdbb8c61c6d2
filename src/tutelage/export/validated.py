"""A trained network that explains itself, with the validation samples that people look at."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tutelage.concepts.ratings import Question
from tutelage.data import home
from tutelage.errors import UserError
from tutelage.execution.data_cache import DataCache
from tutelage.export.choosing import ShippedRun, find_source, of_experiment
from tutelage.models import ConceptBottleneck, On
from tutelage.models.concept_edits import reweigh_concept
from tutelage.recipe.config import Recipe, parse
from tutelage.recipe.data_spec import DataSpec
from tutelage.recipe.fold import Fold
from tutelage.recipe.keys import Train
from tutelage.recipe.networks import load_network, save_network
from tutelage.runs.explanations import Explanations
from tutelage.runs.ledger import read_experiment
from tutelage.runs.run import Run
from tutelage.training.concept_edit import ConceptEdit
from tutelage.training.dissection import Asked
from tutelage.training.looking import refuse_other_data
from tutelage.training.settings import make_fabric

__all__ = ["ValidatedRun", "open_validated", "questions_about"]


@dataclass(frozen=True)
class ValidatedRun:
    """A run opened again.

    Args:
        run: the run.
        asked: its network and samples.
        fold: its data.
        index: ids of its validation samples.
        spec: of its network.
    """

    run: Run
    asked: Asked
    fold: Fold
    index: Tensor
    spec: dict[str, Any]

    @property
    def class_names(self) -> tuple[str, ...]:
        """Names of the classes."""
        return self.asked.samples.class_names

    @property
    def place(self) -> str:
        """The run in words."""
        return f"{self.run.stage}, fold {self.run.fold}, seed {self.run.seed}"

    def write_edited(self, edits: Sequence[ConceptEdit], folder: Path) -> None:
        """Write the network with edits, as ``run:`` takes it.

        Args:
            edits: what is changed; see :func:`~tutelage.training.concept_edit.edit_effect`.
            folder: made if absent; gets ``best.safetensors``.

        Raises:
            UserError: it is no bottleneck, or there is no such concept or class.
        """
        network, inner = self.asked.network, self.asked.inner
        if not isinstance(inner, ConceptBottleneck):
            raise UserError(
                f"--to: found {type(inner).__name__}, whose concepts are made anew from each sample; allowed: a "
                "ConceptBottleneck"
            )
        for edit in edits:
            inner = reweigh_concept(inner, edit.concept, edit.weight, edit.classes or None)
        spec = dict(self.spec) | {"network": self.spec["network"] | inner.settled}
        folder.mkdir(parents=True, exist_ok=True)
        edited = On(network.modality, inner, network.mean, network.std, network.crop)
        save_network(folder / "best.safetensors", edited, spec)


def open_validated(
    path: Path,
    method: str | None,
    data: Path | None,
    accelerator: str,
    progress: Callable[[str, float], None] | None = None,
) -> ValidatedRun:
    """Open a run whose network explains itself, with its validation samples.

    Args:
        path: folder of a run or of an experiment.
        method: stage of the experiment; None where one alone explains itself.
        data: root of data sets; None for the user's default.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        progress: called during long preparations.

    Raises:
        UserError: no such run, its network does not explain itself, it has no validation samples, or its data are
            others now.
    """
    source = find_source(path) if (path / "run.json").is_file() else _of_experiment(path, method)
    run, origin = source.run, source.experiment
    said = run.predictions("validation")
    if said is None or not len(said.index):
        raise UserError(f"{run.folder}: has no validation predictions, so nothing can be compared")
    network, spec = load_network(run.folder / "best.safetensors")
    if not network.network.explains():
        raise UserError(
            f"{run.folder}: {type(network.network).__name__} does not explain itself; allowed: networks with "
            "named concepts, such as ConceptBottleneck and ConceptTransformer"
        )
    recipe = parse(Recipe, origin.record.resolved, str(origin.folder / "experiment.json"))
    cache = DataCache(data, (data or home()) / "checks", progress)
    described = DataSpec.of(recipe)
    dataset = cache.dataset(described)
    refuse_other_data(run, dataset)
    fold = cache.fold(described, int(run.fold))
    samples = fold.samples([network.modality], progress)
    fabric = make_fabric(Train(), accelerator)
    asked = Asked(network.to(fabric.device).eval(), samples, fabric)
    return ValidatedRun(run, asked, fold, torch.from_numpy(said.index), spec)


def _of_experiment(path: Path, method: str | None) -> ShippedRun:
    """Return the best run of a stage; of the only one that explains itself, where none is named."""
    experiment = read_experiment(path)
    if method is None:
        told = [run.stage for run in experiment.runs if (run.folder / "explanations.npz").is_file()]
        names = list(dict.fromkeys(told))
        if len(names) != 1:
            raise UserError(
                f"{path}: found {len(names)} stages that explain themselves ({', '.join(names) or 'none'}); "
                "allowed: --method with one of them"
            )
        (method,) = names
    return of_experiment(experiment, method)


def questions_about(opened: ValidatedRun, samples: int, concepts: int, seed: int) -> list[Question]:
    """Return questions to people about a run: factuality of each class's strongest concepts, and groundability.

    Args:
        opened: the run, with what its network says of validation samples (``explanations.npz``).
        samples: of each class, drawn at random from validation, and the best of each concept.
        concepts: of each class, those that speak most for it; and as many of those that move classes most.
        seed: of the draws and of the order.

    Returns:
        In random order; a sample is its number in the data set.

    Raises:
        UserError: the run keeps no explanations, or no concept speaks for any class.
    """
    run = opened.run
    path = run.folder / "explanations.npz"
    if not path.is_file():
        raise UserError(
            f"{run.folder}: keeps no explanations.npz, so nothing says which concepts to ask about"
        )
    told = Explanations.load(path, len(opened.class_names), run.predictions("validation"))
    rng = np.random.default_rng(seed)
    asked: list[Question] = []
    labels = opened.asked.samples.labels[opened.index].numpy()
    for label, name in enumerate(opened.class_names):
        mine = rng.permutation(opened.index.numpy()[labels == label])[:samples]
        for text in _speaking(told, label, concepts):
            asked += [
                Question("factuality", text, name, str(sample)) for sample in sorted(mine.tolist())
            ]
    for stream in told.streams.values():
        for concept, best in zip(stream.shown[:concepts], stream.gallery, strict=False):
            text = stream.names[int(concept)]
            asked += [Question("groundability", text, "", str(sample)) for sample in best[:samples]]
    asked = list(dict.fromkeys(asked))
    if not asked:
        raise UserError(f"{run.folder}: no concept speaks for a class, so there is nothing to ask")
    return [asked[i] for i in rng.permutation(len(asked))]


def _speaking(told: Explanations, label: int, most: int) -> list[str]:
    """Return the concepts that move a class most away from its rivals."""
    pairs = [
        (float(value), stream.names[int(concept)])
        for stream in told.streams.values()
        for concept, value in zip(stream.speaking[label], stream.by_class[label], strict=True)
        if value > 0
    ]
    return [text for _, text in sorted(pairs, reverse=True)[:most]]
