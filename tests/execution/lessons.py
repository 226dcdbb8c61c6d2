"""A few steps of every objective, term and weighting, in one process or divided among several."""

import sys
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from tests.contract import test_contract as contract
from tests.doubles.workspace import Tiny
from tutelage import terms
from tutelage.models import LatentWorkspace
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.ranks import Ranks
from tutelage.recipe.instantiate import build
from tutelage.steps import BilevelStep, GradientStep
from tutelage.types import Batch, Clock, Facts, Output, View

NAMES = [name for _, name in contract.ALL]
SAMPLES, STEPS, CLASSES = 28, 3, 5


class Student(torch.nn.Module):
    """A network with batch normalisation that has every feature any objective asks for."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        inner = Tiny(2, CLASSES, widths=(2, 4, 6))
        self.network = LatentWorkspace((2, 16), network=inner, slots=3, heads=2)
        sizes = {"global_attention": (4,), "spatial_attention": (3, 4), "image": (4,)}
        sizes |= {"image_frozen": (4,), "text": (CLASSES, 4), "text_frozen": (CLASSES, 4)}
        self.sizes = sizes | {"logits_frozen": (CLASSES,), "cosine": (CLASSES,), "length": (1,)}
        heads = {
            name: torch.nn.Linear(6, torch.Size(size).numel()) for name, size in self.sizes.items()
        }
        self.more = torch.nn.ModuleDict(heads)

    def forward(self, batch):
        out = self.network(batch.inputs["signal"])
        features = dict(out.features) | {"common": out.features["stage1"][:, :2]}
        for name, size in self.sizes.items():
            values = self.more[name](out.features["stage3"].flatten(2).mean(dim=2))
            values = values.unflatten(1, size)
            features[name] = values.softmax(dim=-1) if name.endswith("attention") else values
        features["cosine"], features["length"] = (
            features["cosine"].tanh(), torch.nn.functional.softplus(features["length"])
        )  # fmt: skip
        return Output(out.logits, features)


def material(dtype):
    """Inputs, labels, annotations and teachers of all samples."""
    random = torch.Generator().manual_seed(3)
    labels = torch.randint(0, CLASSES, (SAMPLES,), generator=random)
    seen = contract.view(seed=4, batch=SAMPLES, classes=CLASSES)
    teachers = {
        name: Output(out.logits.to(dtype), {k: f.to(dtype) for k, f in out.features.items()})
        for name, out in seen.teachers.items()
    }
    signal = torch.randn(SAMPLES, 2, 16, generator=random)
    annotated = {k: v.to(dtype) for k, v in contract.annotated(labels).items()}
    return Batch({"signal": signal.to(dtype)}, labels, torch.arange(SAMPLES), annotated), teachers


def rows(batch, teachers, index):
    picked = Batch(
        {k: v[index] for k, v in batch.inputs.items()}, batch.labels[index], batch.index[index],
        {k: v[index] for k, v in batch.concepts.items()},
    )  # fmt: skip
    return picked, {
        name: Output(out.logits[index], {k: f[index] for k, f in out.features.items()})
        for name, out in teachers.items()
    }


def objective(name):
    slot = next(slot for slot, other in contract.ALL if other == name)
    if slot != "tutelage.weighting":
        return contract.as_objective(slot, name)
    return PerTeacher(
        terms.SoftTargets(4.0), build(slot, {"type": name, **contract.EXAMPLES[name]}, "x")
    )


def taught(name, device):
    """Return every loss of every step, and all parameters and statistics after the last one."""
    # Seven samples are not divided evenly by two; patches of a batch want to be.
    size = 6 if name == "OrthogonalFeatures" else 7
    student = Student()
    everything, teachers = material(torch.float32)
    distiller = Distiller({"labels": Weighted(Labels(), 0.5), "it": Weighted(objective(name))})
    few, said = rows(everything, teachers, torch.arange(4))
    counts = torch.bincount(everything.labels, minlength=CLASSES)
    view = View(student.eval()(few), said, few, Clock())
    heads = contract.facts(contract.view()).heads
    everywhere = contract.facts(View(view.student, teachers, everything, Clock())).survey
    torch.manual_seed(1)
    distiller.prepare(
        Facts(view, counts, ("a", "b", "c", "d", "e"), everything.labels, size,
              heads, everywhere, student.network)
    )  # fmt: skip
    kind = partial(GradientStep, clip_norm=1.0)
    if distiller.meta_parameters():
        kind = partial(BilevelStep, clip_norm=1.0, batch_size=size, every=2, buffer=14)
    for module in (student, distiller, *heads.values()):
        module.double()
    everything, teachers = material(torch.float64)
    step = kind(partial(torch.optim.SGD, lr=0.1, momentum=0.9), 0.05)
    stepper = step.bind(device, student, distiller)
    student.train()
    distiller.train()
    torch.manual_seed(2)
    found = {}
    for number in range(STEPS):
        index = torch.arange(number * size, (number + 1) * size)
        batch, said = rows(everything, teachers, index)
        losses, output = stepper(batch, said, Clock(0, number, 1, STEPS))
        found |= {f"{number}.{part}": value.detach() for part, value in losses.parts.items()}
        found[f"{number}.logits"] = output.logits.detach()
        for part, own in losses.gradients.items():
            found[f"{number}.gradient.{part}"] = torch.tensor([own.norm, own.share])
    found |= {f"student.{k}": v.clone() for k, v in student.state_dict().items()}
    return found | {f"distiller.{k}": v.clone() for k, v in distiller.state_dict().items()}


def every_lesson(fabric, path):
    """What each of several processes does; each leaves what it found."""
    torch.set_num_threads(1)
    ranks = Ranks(fabric)
    torch.save({name: taught(name, ranks) for name in NAMES}, f"{path}/{ranks.rank}.pt")


def launch(function, path):
    """Call a function in two processes."""
    sys.path.append(str(Path(__file__).parents[2]))  # where they find this module
    fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp_spawn", precision="64-true")
    return fabric.launch(function, path)
