"""The distiller under a Hugging Face `Trainer`: python examples/hugging_face_trainer.py [epochs].

Needs `pip install transformers accelerate`. A `Trainer` takes any module whose `forward` returns a loss: here
student and distiller together. What is kept afterwards is the student alone. Generated data, no evidence.
"""

import tempfile

import torch
from plain_loop import EPOCHS, accuracy, reader, trained_teachers, two_sides
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainingArguments

from tutelage.models import On, SeparableNet
from tutelage.objectives import Distiller, Labels, PerTeacher, Weighted
from tutelage.teachers import LiveTeachers
from tutelage.terms import SoftTargets
from tutelage.types import Batch, Clock, View
from tutelage.weighting import Confidence


class Taught(nn.Module):
    """A student, its frozen teachers and its objectives; `forward` takes what the data set's rows are called."""

    def __init__(self, student: On, teachers: dict[str, On], distiller: Distiller) -> None:
        super().__init__()
        self.student, self.distiller, self.clock = student, distiller, Clock()
        self.teachers = LiveTeachers(teachers, distiller.needs())  # no part of what is trained

    def forward(self, signal: Tensor, spectrum: Tensor, labels: Tensor, index: Tensor):
        """Return the mean loss and the student's logits, [B, C]."""
        batch = Batch({"signal": signal, "spectrum": spectrum}, labels, index)
        said = self.student(batch)
        losses = self.distiller(View(said, self.teachers(batch), batch, self.clock))
        return {"loss": losses.total.mean(), "logits": said.logits}


class Time(TrainerCallback):
    """Tells the objectives what time it is, for schedules and curricula."""

    def on_step_begin(self, args, state, control, model=None, **rest) -> None:
        """Set the clock before each step."""
        epochs = int(state.num_train_epochs)
        length = state.max_steps // epochs
        model.clock = Clock(state.global_step // length, state.global_step, epochs, length)


def main() -> None:
    """Train two teachers, then the student by the `Trainer`, and print what it reads of a person it never saw."""
    torch.manual_seed(0)
    side, unseen = two_sides()
    soft = PerTeacher(SoftTargets(4.0), Confidence())  # each sample trusts who is right about it
    distiller = Distiller({"labels": Weighted(Labels(), 0.3), "soft": Weighted(soft, 0.7)})
    student = reader("signal", SeparableNet(6, 6), side)
    module = Taught(student, trained_teachers(side, EPOCHS), distiller)
    columns = {**side.inputs, "labels": side.labels, "index": side.index}
    rows = [{name: values[i] for name, values in columns.items()} for i in range(len(side))]
    with tempfile.TemporaryDirectory() as folder:
        settings = TrainingArguments(folder, num_train_epochs=EPOCHS, learning_rate=0.01, report_to="none",
                                     per_device_train_batch_size=32, dataloader_drop_last=True,
                                     save_strategy="no", use_cpu=True, disable_tqdm=True)  # fmt: skip
        Trainer(module, settings, train_dataset=rows, callbacks=[Time()]).train()
    print(f"student   {accuracy(student, unseen):.3f}")


if __name__ == "__main__":
    main()
