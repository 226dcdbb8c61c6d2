"""Two teachers, one student, and a training loop of your own: python examples/plain_loop.py [epochs].

The distiller takes a `View` (student, teachers, batch, time) and returns [B]. Generated data: no evidence.
"""

import sys

import torch

from tutelage.data import SyntheticWearable
from tutelage.models import On, SeparableNet, WideResNet
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.teachers import LiveTeachers
from tutelage.terms import SoftTargets
from tutelage.types import Batch, Clock, View
from tutelage.weighting import Fixed

EPOCHS = int(sys.argv[1]) if sys.argv[1:] else 6


def two_sides() -> tuple[Batch, Batch]:
    """Return windows of five people to learn from, and those of a sixth; as signal and as spectrum."""
    data = SyntheticWearable(subjects=6, windows=8, noise=0.5).load()
    signal = torch.from_numpy(data.inputs)  # [N, channels, time]
    views = {"signal": signal, "spectrum": torch.log1p(torch.fft.rfft(signal).abs())}
    windows = Batch(views, torch.from_numpy(data.labels), torch.arange(len(signal)))
    held_out = torch.from_numpy(data.subjects == "S6")
    return windows.rows(~held_out), windows.rows(held_out)


def reader(modality: str, network: torch.nn.Module, batch: Batch) -> On:
    """Return a network that reads one modality, standardised by the training samples."""
    std, mean = torch.std_mean(batch.inputs[modality], (0, 2))
    return On(modality, network, mean, std)


def accuracy(network: On, batch: Batch) -> float:
    """Return the part of a batch that a network reads correctly."""
    with torch.no_grad():
        return float((network.eval()(batch).logits.argmax(1) == batch.labels).float().mean())


def train(network: On, distiller: Distiller, teachers: dict[str, On], side: Batch, epochs: int):
    """The loop: any optimizer, any schedule, any logging; the distiller only asks for a `View`."""
    frozen = LiveTeachers(teachers, distiller.needs())  # in evaluation mode, without gradient
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    steps = len(side) // 32
    for step in range(epochs * steps):
        batch = side.rows(torch.randperm(len(side))[:32])
        optimizer.zero_grad()
        now = Clock(step // steps, step, epochs, steps)
        losses = distiller(View(network.train()(batch), frozen(batch), batch, now))
        losses.total.mean().backward()  # losses.parts has each objective by name, [B]
        optimizer.step()


def trained_teachers(side: Batch, epochs: int) -> dict[str, On]:
    """Return a teacher for each modality, trained on the labels."""
    teachers = {m: reader(m, WideResNet(6, 6, depth=10, dimensions=1), side) for m in side.inputs}
    for teacher in teachers.values():
        train(teacher, Distiller({"labels": Weighted(Labels())}), {}, side, epochs)
    return teachers


def main() -> None:
    """Train two teachers, then the student, and print what each reads of a person it never saw."""
    torch.manual_seed(0)
    side, unseen = two_sides()
    teachers = trained_teachers(side, EPOCHS)
    student = reader("signal", SeparableNet(6, 6), side)
    soft = PerTeacher(SoftTargets(4.0), Fixed({"signal": 0.6, "spectrum": 0.4}))
    objectives = {"labels": Weighted(Labels(), 0.3), "soft": Weighted(soft, 0.7)}
    train(student, Distiller(objectives), teachers, side, EPOCHS)
    for name, network in {**teachers, "student": student}.items():
        print(f"{name:<9} {accuracy(network, unseen):.3f}")


if __name__ == "__main__":
    main()
