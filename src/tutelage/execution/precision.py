"""Which number format ``precision: auto`` is: measured once for each machine, network and batch."""

import copy
import hashlib
import json
import time
from pathlib import Path

import torch
from torch.nn import functional as F

from tutelage import seals
from tutelage.errors import UserError
from tutelage.models import On
from tutelage.models.layout import channels_last
from tutelage.recipe.config import Recipe
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import RunSpec, resolve
from tutelage.runs.records import EXPERIMENT
from tutelage.runs.schema import read
from tutelage.runs.writer import environment
from tutelage.training.settings import make_fabric
from tutelage.training.student import StandIns
from tutelage.types import Batch

__all__ = ["seconds_of", "settle_precision"]

FORMATS = ("32-true", "bf16-mixed")
_SAMPLES, _ROUNDS = 32, 5
_GAIN = 1.1  # so much faster is worth other numbers


def settle_precision(
    recipe: Recipe, fold: int, data: Fold, folder: Path, cache: Path, accelerator: str
) -> Recipe:
    """Return the recipe with a number format wherever it says ``precision: auto``.

    Stages that are compared have one format, that of the reference's network; a teacher has its own. An experiment
    that has runs keeps what it began with, on whatever machine it goes on.

    Args:
        recipe: what to do.
        fold: number of a fold.
        data: the fold.
        folder: of the experiment, which need not be there.
        cache: where measurements are kept.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
    """
    asking = [name for name in recipe.stages if recipe.train_settings(name).precision == "auto"]
    if not asking:
        return recipe
    specs = {spec.stage: spec for spec in resolve(recipe, fold, data)}
    chosen, teachers, stages = _began(folder), set(recipe.teachers()), dict(recipe.stages)
    for name in asking:
        asked = name if name in teachers else recipe.reference()
        if asked not in chosen:
            chosen[asked] = _measured(specs[asked], data, cache, accelerator)
        told = "32-true" if recipe.stages[name].quantise else chosen[asked]
        train = recipe.stages[name].train | {"precision": told}
        stages[name] = recipe.stages[name].model_copy(update={"train": train})
    return recipe.model_copy(update={"stages": stages})


def _began(folder: Path) -> dict[str, str]:
    """Return the formats that an experiment's stages were trained in, as far as it is there."""
    try:
        record = read(EXPERIMENT, folder / "experiment.json")
    except (OSError, UserError):
        return {}
    stages = record.resolved["stages"] if record.resolved else {}
    found = {name: stage["train"].get("precision") for name, stage in stages.items()}
    return {name: told for name, told in found.items() if told in FORMATS}


def _measured(spec: RunSpec, data: Fold, cache: Path, accelerator: str) -> str:
    """Return the faster format of a run's network; float32 where they are about as fast."""
    if spec.train.epochs == 0 or spec.run is not None:
        return FORMATS[0]
    small = data.small(_SAMPLES, spec.taken)
    samples = small.samples([spec.modality])
    machine = environment("")
    parts = [
        dict(spec.network), list(samples.inputs[spec.modality].shape[1:]), spec.crop,
        spec.train.batch_size, accelerator, torch.cuda.is_available() and torch.cuda.get_device_name(),
        *(machine[key] for key in ("processor", "torch", "layout")),
    ]  # fmt: skip
    name = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
    path = cache / "precision" / f"{name}.json"
    known = seals.recall(path)
    if not known:
        network = StandIns(small)(spec)
        batch = samples.take(torch.arange(spec.train.batch_size) % len(samples))
        known = {
            "seconds": {
                told: seconds_of(network, batch, spec, told, accelerator) for told in FORMATS
            }
        }
        seals.remember(path, known)
    plain, half = (known["seconds"][told] for told in FORMATS)
    return FORMATS[1] if half * _GAIN < plain else FORMATS[0]


def seconds_of(network: On, batch: Batch, spec: RunSpec, precision: str, accelerator: str) -> float:
    """Return the seconds of one forward and backward pass in a number format: the least of a few.

    Args:
        network: of the run; stays as it is.
        batch: what it sees.
        spec: the run.
        precision: ``32-true`` or ``bf16-mixed``.
        accelerator: ``cpu``, ``cuda`` or ``auto``.
    """
    fabric = make_fabric(spec.train.model_copy(update={"precision": precision}), accelerator)
    mine = copy.deepcopy(network).to(fabric.device).train()
    channels_last(mine)
    seen = batch.to(fabric.device)
    on_gpu = fabric.device.type == "cuda"
    # What other programs do on a CPU is not counted; a GPU's time is not the process's.
    clock = time.perf_counter if on_gpu else time.process_time
    took = []
    for _ in range(_ROUNDS):
        began = clock()
        with fabric.autocast():
            logits = mine(seen).logits
            loss = F.cross_entropy(logits, torch.zeros_like(seen.labels))
        fabric.backward(loss)
        if on_gpu:
            torch.cuda.synchronize()
        took.append(clock() - began)
    return min(took)
