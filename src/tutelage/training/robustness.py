"""Trained networks evaluated on damaged test inputs: the same damage for every network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tutelage import checkpoint
from tutelage.batches import Samples
from tutelage.corruptions import Corruption, InputFacts
from tutelage.errors import UserError
from tutelage.evaluate import assess, predict
from tutelage.models import On
from tutelage.recipe.config import Recipe
from tutelage.recipe.data_spec import Progress
from tutelage.recipe.evaluation import corruptions_of, damaged_stages, facts_of
from tutelage.recipe.fold import Fold, tensor_of
from tutelage.recipe.networks import load_network
from tutelage.recipe.resolve import RunSpec
from tutelage.runs.folder import checkpoint_of, read_evaluations
from tutelage.runs.robustness import (
    AskedCorruption,
    AskedRecord,
    DamagedScore,
    RobustnessRecord,
    key_of,
    known_robustness,
    merged,
    write_robustness,
)
from tutelage.seeds import derive
from tutelage.steps.base import Device
from tutelage.training.settings import make_fabric

__all__ = ["asked_of", "damaged_inputs", "evaluate_damaged"]

_VALUES = (
    2**21
)  # of inputs that are damaged at once; part of the numbers, for each block has a stream of its own
_SHOWN = ("accuracy", "macro_f1", "nll", "brier", "ece", "classwise_ece")


def asked_of(recipe: Recipe, data: Fold) -> AskedRecord | None:
    """Return what an experiment will say of the damage it asks for; None where it asks for none."""
    stages = damaged_stages(recipe)
    if not stages:
        return None
    wanted, dataset = recipe.evaluate, data.dataset
    facts = InputFacts.plain(dataset.modality, dataset.inputs.shape[1:], dataset.channel_names)
    named = {
        name: AskedCorruption(
            key_of(one.description), one.description, one.meaning,
            tuple(one.said(severity, facts) for severity in wanted.severities),
        )
        for name, one in corruptions_of(wanted).items()
    }  # fmt: skip
    return AskedRecord(1, tuple(wanted.severities), wanted.draws, tuple(stages), named)


def evaluate_damaged(
    recipe: Recipe,
    asked: AskedRecord,
    specs: Sequence[RunSpec],
    paths: Mapping[str, Path],
    fold_of: Callable[[RunSpec], Fold],
    accelerator: str,
    progress: Progress,
) -> None:
    """Evaluate the network of every complete run on damaged test inputs; what its folder has is not repeated.

    Args:
        recipe: what was carried out.
        asked: what it asks for.
        specs: its runs.
        paths: fingerprint -> run folder of what is complete.
        fold_of: gives the fold of a run.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
        progress: called with a text and the fraction done.

    Raises:
        UserError: a network is not as good on undamaged inputs as its run folder says.
    """
    wanted = corruptions_of(recipe.evaluate)
    mine = {
        spec.fingerprint: spec for spec in specs
        if spec.stage in asked.stages and spec.fingerprint in paths
        and checkpoint_of(paths[spec.fingerprint]).is_file()
    }  # fmt: skip
    folds = dict.fromkeys(spec.fold for spec in mine.values())
    for number, fold in enumerate(folds):
        together = [spec for spec in mine.values() if spec.fold == fold]
        data = fold_of(together[0])
        probes = [_Probe.of(spec, paths[spec.fingerprint], data, accelerator) for spec in together]
        share = partial(_tell, progress, number, len(folds))
        _evaluate(probes, wanted, asked, data, share)
        progress("evaluating on damaged inputs", (number + 1) / len(folds))


def _tell(progress: Progress, before: int, folds: int, done: float) -> None:
    progress("evaluating on damaged inputs", (before + done) / folds)


def damaged_inputs(
    corruption: Corruption, severity: int, draw: int, data: Fold, facts: InputFacts
) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    """Yield the damaged test inputs of a fold, block by block: their positions in its test side, and values.

    The damage depends on kind, draw, fold and position alone: not on a run's seed, the network or the severity.
    """
    test, inputs = data.split.test, data.dataset.inputs
    rows = max(1, _VALUES // max(1, inputs[0].size))
    kind = type(corruption).__name__
    for start in range(0, len(test), rows):
        at = np.arange(start, min(start + rows, len(test)))
        rng = np.random.default_rng(derive(draw, "corruption", kind, data.split.name, start))
        yield at, corruption(np.asarray(inputs[test[at]]), severity, rng, facts)


@dataclass(eq=False)
class _Probe:
    """One trained network, what it was tested on, and what its folder knows already."""

    spec: RunSpec
    folder: Path
    accelerator: str
    tested: NDArray[np.bool_]
    record: RobustnessRecord

    @classmethod
    def of(cls, spec: RunSpec, folder: Path, data: Fold, accelerator: str) -> "_Probe":
        names, labels = data.dataset.class_names, data.dataset.labels[data.split.test]
        numbers = [names.index(name) for name in spec.classes or names]
        tested = np.isin(labels, numbers)
        weights = checkpoint.digest(checkpoint_of(folder))
        record = known_robustness(folder, spec.fingerprint, weights, int(tested.sum()))
        return cls(spec, folder, accelerator, tested, record)

    @cached_property
    def fabric(self) -> Device:
        return make_fabric(self.spec.train, self.accelerator)

    @cached_property
    def network(self) -> On:
        network, _ = load_network(checkpoint_of(self.folder))
        return network.to(self.fabric.device)

    def lacks(self, key: str, asked: AskedRecord) -> bool:
        """Return whether a score of this corruption is missing."""
        return not all(
            self.record.has(key, severity, draw)
            for severity in asked.severities
            for draw in range(asked.draws)
        )


Logits = dict[_Probe, Tensor]
Made = Mapping[str, Callable[[NDArray[Any]], NDArray[Any]]]


def _evaluate(
    probes: Sequence[_Probe],
    wanted: Mapping[str, Corruption],
    asked: AskedRecord,
    data: Fold,
    tell: Callable[[float], None],
) -> None:
    """Evaluate the networks of one fold; every corruption is written when it is done."""
    lacking = {
        name: [probe for probe in probes if probe.lacks(asked.corruptions[name].key, asked)]
        for name in wanted
    }
    busy = [probe for probe in probes if any(probe in some for some in lacking.values())]
    if not busy:
        return
    facts = facts_of(data)
    makers = {name: data.maker(name) for name in {probe.network.modality for probe in busy}}
    first = next(iter(wanted.values()))
    _refuse_other(_logits(busy, damaged_inputs(first, 0, 0, data, facts), makers, data), data)
    for number, (name, some) in enumerate(lacking.items()):
        if some:
            found = _scores(some, wanted[name], asked, data, facts, makers)
            for probe, scores in found.items():
                probe.record = merged(probe.record, wanted[name].description, tuple(scores))
                write_robustness(probe.folder, probe.record)
        tell((number + 1) / len(lacking))


def _scores(
    probes: Sequence[_Probe],
    corruption: Corruption,
    asked: AskedRecord,
    data: Fold,
    facts: InputFacts,
    makers: Made,
) -> dict[_Probe, list[DamagedScore]]:
    found: dict[_Probe, list[DamagedScore]] = {probe: [] for probe in probes}
    for severity in asked.severities:
        for draw in range(asked.draws):
            inputs = damaged_inputs(corruption, severity, draw, data, facts)
            for probe, logits in _logits(probes, inputs, makers, data).items():
                evaluation = _assessed(probe, logits, data)
                numbers = {name: evaluation[name] for name in _SHOWN}
                found[probe].append(DamagedScore(severity, draw, **numbers))
    return found


def _logits(
    probes: Sequence[_Probe],
    inputs: Iterator[tuple[NDArray[np.int64], NDArray[Any]]],
    makers: Made,
    data: Fold,
) -> Logits:
    """Return what networks say of the inputs that each was tested on, [n, C]; each input is represented once."""
    said: dict[_Probe, list[Tensor]] = {probe: [] for probe in probes}
    for at, values in inputs:
        made = {name: tensor_of(np.asarray(make(values))) for name, make in makers.items()}
        labels = torch.from_numpy(data.dataset.labels[data.split.test[at]])
        samples = Samples(made, labels, data.dataset.class_names)
        for probe in probes:
            index = torch.from_numpy(np.flatnonzero(probe.tested[at]))
            if len(index):
                seen = samples.only({probe.network.modality})
                context = probe.fabric.autocast
                said[probe].append(predict(probe.network, seen, index, context=context))
    return {probe: torch.cat(parts) for probe, parts in said.items() if parts}


def _assessed(probe: _Probe, logits: Tensor, data: Fold) -> dict[str, Any]:
    labels = torch.from_numpy(data.dataset.labels[data.split.test[probe.tested]])
    return assess(logits, labels, data.dataset.class_names)


def _refuse_other(clean: Logits, data: Fold) -> None:
    """Refuse networks that are not what their run folders say: damage would be measured from a wrong start."""
    for probe, logits in clean.items():
        stated, found = read_evaluations(probe.folder)["test"], _assessed(probe, logits, data)
        if abs(stated.accuracy - found["accuracy"]) > 0.005 + 1.5 / stated.n:
            raise UserError(
                f"{probe.folder}: accuracy on undamaged test inputs is {found['accuracy']:.4f}, but "
                f"evaluation.json says {stated.accuracy:.4f}; was the network or the data changed?"
            )
