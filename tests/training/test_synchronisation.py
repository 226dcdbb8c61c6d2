"""No step asks for a number or a count that a GPU would have to be waited for, whatever the method.

There is no GPU here, so operations are counted that need the values of a tensor on the host: on a GPU each of them
stops the step until everything before it is computed.
"""

import traceback
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tutelage.recipe.config import load
from tutelage.recipe.data_spec import DataSpec, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.train.epoch import TrainingEpoch
from tutelage.training.assemble import Context, assemble
from tutelage.training.student import StandIns
from tutelage.types import Batch, Clock, to_device

WAITING = {
    "aten::_local_scalar_dense", "aten::is_nonzero", "aten::equal", "aten::nonzero", "aten::masked_select",
    "aten::_unique2", "aten::unique_dim", "aten::unique_consecutive", "aten::bincount",
    "aten::repeat_interleave.Tensor",
}  # fmt: skip
ON_THE_HOST = {
    "terms/contrastive_representation.py": "ids of a batch, which stay on the CPU",
    "torch/optim": "the count of steps, which optimizers keep on the CPU",
}
DATA = [
    "data={type: SyntheticWearable, subjects: 4, windows: 40, channels: 6, classes: 6}",
    "split={type: GroupedFolds, folds: 4, validation: 1}",
]
NAMES = ("walking upstairs", "walking downstairs", "walking", "sitting", "standing", "lying")
WITHOUT = {
    "labo",
    "cct",
    "robustness",
}  # encoders of texts, annotated concepts, sensors with three axes
RECIPES = sorted(path for path in Path("recipes/hapt").glob("*.yaml") if path.stem not in WITHOUT)


class Waits(TorchDispatchMode):
    """Counts operations that read values of tensors, by the line that asked for them."""

    def __init__(self):
        super().__init__()
        self.lines = Counter()

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        name = operation.name()
        masks = args[1] if name.startswith("aten::index") and len(args) > 1 else ()
        by_mask = isinstance(masks, list | tuple) and any(
            isinstance(mask, torch.Tensor) and mask.dtype is torch.bool for mask in masks
        )
        if name in WAITING or by_mask:
            where = next(
                frame for frame in reversed(traceback.extract_stack())
                if "/tutelage/" in frame.filename or "/torch/optim/" in frame.filename
            )  # fmt: skip
            place = (
                "torch/optim"
                if "/torch/optim/" in where.filename
                else where.filename.split("/tutelage/")[-1]
            )
            if place not in ON_THE_HOST:
                self.lines[f"{place}:{where.lineno} {name}"] += 1
        return operation(*args, **(kwargs or {}))


def assembled(path, folder):
    """Return every stage of a recipe that learns, put together on a few samples."""
    text = path.read_text()
    for number, name in enumerate(NAMES, 1):
        text = text.replace(name, f"synthetic activity {number}")
    (folder / path.name).write_text(text)
    recipe = load(folder / path.name, DATA)
    dataset = load_data(recipe.data, folder, None)
    data = Fold.of(DataSpec.of(recipe), dataset, 0, folder / "modalities")
    small = data.small(96)
    learned, context = StandIns(small), Context(folder, folder, "cpu", {}, {})
    for spec in resolve(recipe, 0, data):
        train = spec.train.model_copy(
            update={"batch_size": 32, "teachers": "live", "precision": "32-true"}
        )
        made = assemble(
            replace(spec, train=train, seed=0, labelled=None),
            small,
            context,
            lambda *_: None,
            learned=learned,
        )
        if spec.teachers and spec.train.epochs:
            yield made


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_no_step_waits(path, tmp_path):
    for made in assembled(path, tmp_path):
        training = made.training
        stepper = made.step.bind(made.fabric, made.student.train(), made.distiller)
        clock = Clock(epoch=1, step=1007, epochs=6, steps_per_epoch=1000)
        with Waits() as waits:
            epoch = TrainingEpoch(training, made.settings, made.fabric, clock)
            ready = list(epoch)  # data are made ready on the CPU
        waits.lines.clear()
        for batch, outputs, now in ready:
            with waits:
                epoch.note(batch, *stepper(batch, outputs, now))
        assert len(ready) == 3 and not waits.lines, made.spec.stage


def test_what_would_wait_is_counted():
    source = "def ask(v):\n    float(v.sum())\n    v[v > 2]\n    bool(v.any())\n    v.nonzero()\n"
    names = {}
    exec(compile(source, "/x/tutelage/ask.py", "exec"), names)
    with Waits() as waits:
        names["ask"](torch.arange(6.0))
    assert sum(waits.lines.values()) == 4


def test_batches_go_to_a_gpu_through_pinned_memory(monkeypatch):
    asked = []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: asked.append("pinned") or self)
    monkeypatch.setattr(
        torch.Tensor, "to",
        lambda self, device, non_blocking=False: asked.append((str(device), non_blocking)) or self,
    )  # fmt: skip
    ids = torch.arange(2)
    batch = Batch({"signal": torch.zeros(2, 1, 4)}, torch.zeros(2).long(), ids, partner_index=ids)
    moved = batch.to("cuda")
    assert asked == ["pinned", ("cuda", True)] * 2  # signal and labels; ids stay where they are
    assert moved.index is ids and moved.partner_index is ids
    asked.clear()
    to_device(torch.zeros(1), "cpu")
    assert asked == [("cpu", False)]
