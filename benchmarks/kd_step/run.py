"""One distillation step, WRN16-3 -> WRN16-1, batch 128, 3x32x32: the loops of other toolkits and ours.

python -m benchmarks.kd_step.run --repdistiller CHECKOUT --mdistiller CHECKOUT

The checkouts are those of HobbitLong/RepDistiller and megvii-research/mdistiller; their own training loops are
called, unchanged, on the same fixed batches (no data loading anywhere). Compiled variants are warmed up first.
"""

import argparse
import importlib
import sys
import types
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from types import SimpleNamespace

import torch
from lightning_fabric import Fabric
from torch import nn

from benchmarks.common import ratio, rounds, write
from tutelage.batches import Samples
from tutelage.models import On, WideResNet
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.steps import GradientStep
from tutelage.teachers import CachedTeachers, LiveTeachers, cache_teacher
from tutelage.terms import SoftTargets
from tutelage.types import Clock, Needs

BATCH, STEPS, CLASSES = 128, 3, 10


def ours(samples: Samples, folder: Path, *, cached: bool, compiled: bool, precision: str):
    fabric = Fabric(accelerator="cpu", precision=precision)
    statistics = [0.0] * 3, [1.0] * 3

    def network(width: int) -> On:
        made = On("image", WideResNet(3, CLASSES, width=width), *statistics)
        return made.to(memory_format=torch.channels_last)

    student, teacher = network(1), network(3)
    index = torch.arange(len(samples))
    if cached:
        entry = cache_teacher(teacher, samples, index, Needs(), folder=folder, modality="image")
        teachers = CachedTeachers({"t": entry})
    else:
        teachers = LiveTeachers({"t": teacher}, Needs())
        if compiled:
            teacher.network.compile()
    if compiled:
        student.network.compile()
    distiller = Distiller(
        {"labels": Weighted(Labels(), 0.1), "soft": Weighted(PerTeacher(SoftTargets(4.0)), 0.9)}
    )
    rule = GradientStep(partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=5e-4), 0.05)
    stepper = rule.bind(fabric, student, distiller)
    batches = [samples.take(index[i * BATCH : (i + 1) * BATCH]) for i in range(STEPS)]

    def run() -> None:
        student.train()
        for batch in batches:
            with fabric.autocast():
                outputs = teachers(batch)
            stepper(batch, outputs, Clock())

    return run


def repdistiller(path: Path, data: list[tuple[torch.Tensor, ...]]):
    sys.path.insert(0, str(path))
    models, loops = importlib.import_module("models"), importlib.import_module("helper.loops")
    zoo = importlib.import_module("distiller_zoo.KD")
    student = models.wrn_16_1(num_classes=CLASSES)
    teacher = models.model_dict["wrn_16_2"].__globals__["WideResNet"](
        depth=16, widen_factor=3, num_classes=CLASSES
    )
    options = SimpleNamespace(distill="kd", gamma=0.1, alpha=0.9, beta=0.0, print_freq=10**9)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    criteria = nn.ModuleList([nn.CrossEntropyLoss(), zoo.DistillKL(4), zoo.DistillKL(4)])
    modules = nn.ModuleList([student, teacher])

    def run() -> None:
        with redirect_stdout(StringIO()):
            loops.train_distill(1, data, modules, criteria, optimizer, options)

    return run


def mdistiller(path: Path, data: list[tuple[torch.Tensor, ...]]):
    sys.path.insert(0, str(path))
    # The loop moves every batch to a GPU and imports a logger; here the first is the identity.
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    logger = types.ModuleType("tensorboardX")
    logger.SummaryWriter = object  # type: ignore[attr-defined]
    sys.modules.setdefault("tensorboardX", logger)
    trainer = importlib.import_module("mdistiller.engine.trainer")
    wrn = importlib.import_module("mdistiller.models.cifar.wrn")
    kd = importlib.import_module("mdistiller.distillers.KD")
    meter = importlib.import_module("mdistiller.engine.utils").AverageMeter
    loss = SimpleNamespace(CE_WEIGHT=0.1, KD_WEIGHT=0.9)
    settings = SimpleNamespace(KD=SimpleNamespace(TEMPERATURE=4, LOSS=loss))
    student = wrn.wrn_16_1(num_classes=CLASSES)
    teacher = wrn.WideResNet(depth=16, widen_factor=3, num_classes=CLASSES)
    distiller = kd.KD(student, teacher, settings)
    optimizer = torch.optim.SGD(
        distiller.get_learnable_parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4
    )
    state = SimpleNamespace(distiller=distiller, optimizer=optimizer)

    def run() -> None:
        distiller.train()
        names = ("training_time", "data_time", "losses", "top1", "top5")
        for batch in data:
            trainer.BaseTrainer.train_iter(state, batch, 1, {name: meter() for name in names})

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repdistiller", type=Path)
    parser.add_argument("--mdistiller", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--folder", type=Path, default=Path("runs/.bench"))
    options = parser.parse_args()
    torch.manual_seed(0)
    images = torch.randn(BATCH * STEPS, 3, 32, 32)
    labels = torch.randint(0, CLASSES, (len(images),))
    samples = Samples({"image": images}, labels, tuple("abcdefghij"))
    data = [
        (images[i : i + BATCH], labels[i : i + BATCH], torch.arange(BATCH))
        for i in range(0, len(images), BATCH)
    ]
    competitors = {}
    if options.repdistiller:
        competitors["RepDistiller's loop"] = repdistiller(options.repdistiller, data)
    if options.mdistiller:
        competitors["mdistiller's loop"] = mdistiller(options.mdistiller, data)
    for precision in ("32-true", "bf16-mixed"):
        for cached in (False, True):
            for compiled in (False, True):
                name = f"Tutelage, {precision}, {'cached' if cached else 'live'} teacher"
                competitors[name + (", compiled" if compiled else "")] = ours(
                    samples, options.folder, cached=cached, compiled=compiled, precision=precision
                )
    seconds = rounds(competitors, options.rounds, warm=2)
    peers = [name for name in competitors if "loop" in name]
    table = [["competitor", "seconds a step (median)", *(f"times faster than {p}" for p in peers)]]
    for name in competitors:
        step = sorted(seconds[name])[len(seconds[name]) // 2] / STEPS
        table.append([name, f"{step:.4f}", *(f"{ratio(seconds, p, name):.2f}" for p in peers)])
    result = {
        "seconds": seconds,
        "note": "Ratios are medians over interleaved rounds. Where the processor has no bf16 arithmetic "
        "(see Machine), bf16 autocast is emulated and slower than float32; recipes then keep 32-true.",
    }
    write(
        Path(__file__).parent,
        "python -m benchmarks.kd_step.run --repdistiller CHECKOUT --mdistiller CHECKOUT",
        result,
        table,
    )


if __name__ == "__main__":
    main()
