"""The distiller inside a Lightning module: python examples/lightning_module.py [epochs].

Needs `pip install pytorch-lightning`. The student also learns to reproduce a layer of one teacher; the adapter for
that belongs to the distiller, is trained beside the student and dropped afterwards. Generated data, no evidence.
"""

import pytorch_lightning as lightning
import torch
from plain_loop import EPOCHS, accuracy, reader, trained_teachers, two_sides
from torch.utils.data import DataLoader, TensorDataset

from tutelage.models import On, SeparableNet
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.teachers import LiveTeachers
from tutelage.terms import Hint, SoftTargets
from tutelage.types import Batch, Clock, Facts, View


class Taught(lightning.LightningModule):
    """A student, what it learns from, and the objectives.

    Args:
        student: from a batch to an output; it and the distiller are parameters of this module.
        teachers: frozen; they are no part of it, so no checkpoint holds them.
        distiller: named objectives.
        facts: classes and a small batch; adapters are built for the shapes that it shows.
    """

    def __init__(self, student: On, teachers: dict[str, On], distiller: Distiller, side: Batch):
        super().__init__()
        self.student, self.distiller = student, distiller
        self.teachers = LiveTeachers(teachers, distiller.needs())
        few = side.rows(slice(8))
        with torch.no_grad():
            seen = View(student.eval()(few), self.teachers(few), few, Clock())
        distiller.prepare(Facts(seen, class_counts=torch.bincount(side.labels)))
        student.train()

    def on_fit_start(self) -> None:
        """Take the teachers where the student is: Lightning moves only what is a part of the module."""
        for teacher in self.teachers.networks.values():
            teacher.to(self.device)

    def training_step(self, rows: list[torch.Tensor], number: int) -> torch.Tensor:
        """Return the mean loss of a batch, and log each objective by its name."""
        signal, spectrum, labels, index = rows
        batch = Batch({"signal": signal, "spectrum": spectrum}, labels, index)
        length = int(self.trainer.num_training_batches)
        clock = Clock(self.current_epoch, self.global_step, self.trainer.max_epochs or 1, length)
        losses = self.distiller(View(self.student(batch), self.teachers(batch), batch, clock))
        self.log_dict({name: part.mean() for name, part in losses.parts.items()})
        return losses.total.mean()

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Train the student and the distiller's adapters."""
        return torch.optim.SGD(self.parameters(), lr=0.05, momentum=0.9)


def main() -> None:
    """Train two teachers, then the student by Lightning, and print what it reads of a person it never saw."""
    lightning.seed_everything(0, verbose=False)
    side, unseen = two_sides()
    objectives = {"labels": Weighted(Labels(), 0.3), "soft": Weighted(PerTeacher(SoftTargets(4.0)), 0.7),
                  "hint": Weighted(PerTeacher(Hint(), teachers=["signal"]), 0.1)}  # fmt: skip
    student = reader("signal", SeparableNet(6, 6), side)
    module = Taught(student, trained_teachers(side, EPOCHS), Distiller(objectives), side)
    rows = TensorDataset(side.inputs["signal"], side.inputs["spectrum"], side.labels, side.index)
    trainer = lightning.Trainer(max_epochs=EPOCHS, logger=False, enable_checkpointing=False,
                                enable_progress_bar=False, enable_model_summary=False)  # fmt: skip
    trainer.fit(module, DataLoader(rows, batch_size=32, shuffle=True, drop_last=True))
    print(f"student   {accuracy(student.cpu(), unseen):.3f}")


if __name__ == "__main__":
    main()
