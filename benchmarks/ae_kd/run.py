"""One AE-KD step with three teachers, WRN16-3 -> WRN16-1, batch 128, 3x32x32: the authors' loop and ours.

python -m benchmarks.ae_kd.run --aekd CHECKOUT

The checkout is that of AnTuo1998/AE-KD. Its training loop is called, unchanged, on the same networks (ours,
behind its calling convention), the same teachers and the same fixed batches. It back-propagates once per teacher
through the student to read a gradient at the logits, then once more to train; ours differentiates the loss alone.
Before anything is timed the two losses are compared. Both use normalised gradients: without, the authors' solver
stops before its first step on gradients of this size (see docs/methods/gradient-space.md), and the losses differ.
"""

import argparse
import importlib
import sys
from contextlib import redirect_stdout
from functools import partial
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
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
from tutelage.weighting import GradientSpace, Uniform, Weighting

BATCH, STEPS, CLASSES, TEACHERS, CAP = 128, 3, 10, 3, 0.6
PEER = "AE-KD's loop"


def network(width: int, seed: int) -> On:
    torch.manual_seed(seed)
    made = On("image", WideResNet(3, CLASSES, width=width), [0.0] * 3, [1.0] * 3)
    return made.to(memory_format=torch.channels_last)


def ours(samples: Samples, weighting: Weighting, *, cached: Path | None, rate: float = 0.05):
    student = network(1, 0)
    networks = {f"t{k}": network(3, 1 + k) for k in range(TEACHERS)}
    index = torch.arange(len(samples))
    if cached is None:
        teachers = LiveTeachers(networks, Needs())
    else:
        entries = {
            name: cache_teacher(net, samples, index, Needs(), folder=cached, modality="image")
            for name, net in networks.items()
        }
        teachers = CachedTeachers(entries)
    distiller = Distiller(
        {
            "labels": Weighted(Labels(), 1.0),
            "soft": Weighted(PerTeacher(SoftTargets(4.0), weighting), 0.9),
        }
    )
    rule = GradientStep(partial(torch.optim.SGD, lr=rate, momentum=0.9, weight_decay=5e-4), rate)
    stepper = rule.bind(Fabric(accelerator="cpu"), student, distiller)
    batches = [samples.take(index[i * BATCH : (i + 1) * BATCH]) for i in range(STEPS)]

    def run() -> float:
        student.train()
        total = 0.0
        for batch in batches:
            total += float(stepper(batch, teachers(batch), Clock())[0].total.detach().mean())
        return total / STEPS

    return run


class Convention(nn.Module):
    """A network behind the authors' calling convention: ``(features, logits)`` on request."""

    def __init__(self, wrapped: On) -> None:
        super().__init__()
        self.wrapped = wrapped

    def forward(self, x: torch.Tensor, is_feat: bool = False, preact: bool = False):
        output = self.wrapped.on_tensor(x)
        return (list(output.features.values()), output.logits) if is_feat else output.logits


def authors(path: Path, folder: Path, samples: Samples, rate: float = 0.05):
    sys.path.insert(0, str(path))
    loops = importlib.import_module("helper.loops")
    divergence = importlib.import_module("distiller_zoo.KD").DistillKL
    # The loop moves one constant to a GPU; here there is none.
    torch.Tensor.cuda = lambda self, *_, **__: self  # type: ignore[method-assign,assignment]
    student = Convention(network(1, 0))
    teachers = [Convention(network(3, 1 + k)).requires_grad_(False) for k in range(TEACHERS)]
    options = SimpleNamespace(
        teacher_num=TEACHERS, preact=False, ensemble_method="AEKD", distill="kd", svm_norm=True,
        nu=1 / (CAP * TEACHERS), local_rank=0, distill_decay=False, epochs=240, alpha=0.9, gamma=1.0,
        beta=0.0, distribution=False, print_freq=10**9, save_folder=str(folder),
    )  # fmt: skip
    optimizer = torch.optim.SGD(student.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    criteria = nn.ModuleList([nn.CrossEntropyLoss(), divergence(4), divergence(4)])
    modules = nn.ModuleList([student, *teachers])
    images, labels = samples.inputs["image"], samples.labels
    data = [(images[i : i + BATCH], labels[i : i + BATCH]) for i in range(0, STEPS * BATCH, BATCH)]

    def run() -> float:
        with redirect_stdout(StringIO()):
            _, loss = loops.train_distill_Multi_teacher(
                1, data, modules, criteria, optimizer, options
            )
        return loss

    return run


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--aekd", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.manual_seed(0)
    images = torch.randn(BATCH * STEPS, 3, 32, 32)
    labels = torch.randint(0, CLASSES, (len(images),))
    samples = Samples({"image": images}, labels, tuple("abcdefghij"))
    with TemporaryDirectory() as scratch:
        folder = Path(scratch)
        note = "The peer was not given."
        competitors = {}
        if options.aekd:
            theirs = authors(options.aekd, folder, samples, rate=0.0)()
            mine = ours(samples, GradientSpace(CAP, normalise=True), cached=None, rate=0.0)()
            if abs(theirs - mine) > 1e-3 * abs(theirs):
                raise SystemExit(f"the losses differ: theirs {theirs}, ours {mine}")
            note = f"Loss of the same three batches: theirs {theirs:.6f}, ours {mine:.6f}."
            competitors[PEER] = authors(options.aekd, folder, samples)
        competitors["Tutelage, live teachers"] = ours(
            samples, GradientSpace(CAP, normalise=True), cached=None
        )
        competitors["Tutelage, cached teachers"] = ours(
            samples, GradientSpace(CAP, normalise=True), cached=folder
        )
        competitors["Tutelage, cached teachers, equal weights"] = ours(
            samples, Uniform(), cached=folder
        )
        seconds = rounds(competitors, options.rounds)
    peers = [PEER] if PEER in competitors else []
    table = [["competitor", "seconds a step (median)", *(f"times faster than {p}" for p in peers)]]
    for name in competitors:
        step = sorted(seconds[name])[len(seconds[name]) // 2] / STEPS
        table.append([name, f"{step:.4f}", *(f"{ratio(seconds, p, name):.2f}" for p in peers)])
    note += " Ratios are medians over interleaved rounds."
    result = {"seconds": seconds, "note": note}
    command = "python -m benchmarks.ae_kd.run --aekd CHECKOUT"
    write(Path(__file__).parent, command, result, table)


if __name__ == "__main__":
    main()
