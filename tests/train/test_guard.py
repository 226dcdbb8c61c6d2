"""Students that predict a single class: slow starters go on, dead ones are stopped; losses that are not finite."""

import math
from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.training.small import recipe
from tests.training.test_runs import execute, read, runs_of
from tutelage.batches import Samples
from tutelage.objectives import Distiller, Labels, Objective, Weighted
from tutelage.recipe.keys import Train
from tutelage.steps import GradientStep
from tutelage.train import DivergedError, Settings, State, Training, fit
from tutelage.training.settings import make_fabric
from tutelage.types import Output

CLASSES, COUNT = 3, 36


class Student(nn.Module):
    """A linear student whose predictions in evaluation mode are of one class for some epochs."""

    def __init__(self, constant_for, sees=1.0):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(4, CLASSES)
        self.constant_for, self.sees, self.evaluations = constant_for, sees, 0

    def train(self, mode=True):
        self.evaluations += not mode
        return super().train(mode)

    def forward(self, batch):
        logits = self.layer(self.sees * batch.inputs["x"])
        if not self.training and self.evaluations <= self.constant_for:
            logits = logits + torch.tensor([100.0, 0.0, 0.0])
        return Output(logits)


class Log:
    def __init__(self):
        self.rows, self.states = [], []

    def epoch(self, row, seconds):
        self.rows.append(row)

    def traces(self, index, traces):
        pass

    def best(self, split, student, epoch, value, on):
        pass

    def last(self, state):
        self.states.append(
            {k: dict(v) if isinstance(v, dict) else v for k, v in vars(state).items()}
        )


class Push(Objective):
    """Pulls every sample to the first class."""

    def forward(self, view):
        return nn.functional.cross_entropy(
            view.student.logits, torch.zeros_like(view.batch.labels), reduction="none"
        )


def samples(labels=None):
    labels = torch.arange(COUNT) % CLASSES if labels is None else labels
    torch.manual_seed(1)
    x = nn.functional.one_hot(torch.arange(COUNT) % CLASSES, 4) + 0.1 * torch.randn(COUNT, 4)
    return Samples({"x": x}, labels, tuple("abc"))


def train(
    student, epochs, rate=0.05, objectives=None, state=None, record=None, labelled=True, **more
):
    index = torch.arange(COUNT)
    training = Training(
        student,
        Distiller(objectives or {"labels": Weighted(Labels())}),
        None,
        samples(),
        index[:24],
        {"validation": index[24:]},
        labelled,
    )
    step = GradientStep(partial(torch.optim.SGD, lr=0.0), rate)
    record = record or Log()
    settings = Settings(epochs, 6, 0, **more)
    fit(training, step, settings, make_fabric(Train(), "cpu"), record, state or State())
    return record


def stopped(student, epochs, **more):
    record = Log()
    with pytest.raises(DivergedError) as caught:
        train(student, epochs, record=record, **more)
    return caught.value, record


@pytest.mark.parametrize("constant_for", [1, 2, 30, 50])
def test_a_student_whose_loss_falls_goes_on_whatever_it_predicts(constant_for):
    record = train(Student(constant_for), 50, rate=0.02)
    constant = [row["validation"]["classes_predicted"] == 1 for row in record.rows]
    assert len(record.rows) == 50
    assert sum(constant) >= constant_for
    assert record.rows[-1]["train"]["loss"] < 0.8 * record.rows[0]["train"]["loss"]


def test_a_student_that_learns_nothing_is_stopped_after_two_hundred_steps():
    # Four steps in an epoch; it sees nothing, so that only the frequencies of classes can be learned.
    error, record = stopped(Student(10**6, sees=0.0), 100, rate=0.3)
    assert (error.kind, error.objective) == ("constant_class", "student")
    assert 49 <= error.epoch < 60
    assert len(record.rows) == error.epoch
    assert "its loss has not fallen over 200 steps" in str(error)
    assert len(train(Student(10**6, sees=0.0), 60, rate=0.3, stop_constant=False).rows) == 60


def test_a_run_that_is_shorter_than_the_evidence_is_not_judged():
    assert len(train(Student(10**6, sees=0.0), 49, rate=0.3).rows) == 49


def test_a_student_that_is_pulled_to_one_class_is_stopped_at_once():
    objectives = {"labels": Weighted(Labels(), 0.01), "push": Weighted(Push(), 50.0)}
    error, record = stopped(Student(0), 20, rate=0.3, objectives=objectives)
    assert error.kind == "constant_class"
    assert 2 <= error.epoch <= 3  # the third epoch has the tenth step
    assert "twice that of a student that knows nothing" in str(error)
    assert {row["validation"]["classes_predicted"] for row in record.rows} == {1.0}


def test_hidden_labels_are_not_asked():
    objectives = {"push": Weighted(Push(), 50.0)}
    # What it is trained with falls at first, and then there is nothing left to fall.
    record = train(Student(0), 40, rate=0.3, objectives=objectives, labelled=False)
    assert all("accuracy" not in row["train"] for row in record.rows)


def test_doubt_is_part_of_the_state_so_that_a_resumed_run_is_stopped_in_the_same_epoch():
    whole, record = stopped(Student(10**6, sees=0.0), 100, rate=0.3)
    state = State(**record.states[20])
    assert len(state.doubt) == 21 * 4
    again, _ = stopped(Student(10**6, sees=0.0), 100, rate=0.3, state=state)
    assert str(again) == str(whole)
    assert train(Student(3), 10).states[-1]["doubt"] == []


@pytest.mark.parametrize("value", [math.inf, math.nan])
@pytest.mark.parametrize("select", ["best", "last"])
def test_a_validation_loss_that_is_not_finite_has_its_own_kind_and_epoch(value, select):
    class Broken(Student):
        def forward(self, batch):
            output = super().forward(batch)
            bad = not self.training and self.evaluations == 3
            rows = torch.tensor([0.0, 0.0, -value if bad else 0.0])
            return Output(output.logits + rows)

    error, record = stopped(Broken(0), 6, select=select)
    assert (error.kind, error.objective, error.epoch) == ("non_finite", "validation", 2)
    assert str(error).startswith("epoch 3: the loss on the validation split became non-finite")
    assert len(record.rows) == 2


@pytest.mark.parametrize("modality", ["pi", None])
def test_slow_starters_of_few_windows_end_far_above_chance(tmp_path, modality):
    """Three steps in an epoch and a warm-up: all of them were constant on validation for one epoch or more."""

    def change(content):
        content["data"] |= {"windows": 5, "subjects": 8, "noise": 3.0, "window": 64}
        content["split"] = {"type": "GroupedFolds", "folds": 4, "validation": 1}
        rate = {"type": "Cosine", "start": 0.01, "warmup": 0.3}
        content["train"] = {"epochs": 12, "batch_size": 20, "learning_rate": rate}
        content["stages"] = {"it": {"input": modality} if modality else {}}
        content |= {"baseline": None, "seeds": [0, 1, 2]}
        content["modalities"].pop("gaf")

    folder = execute(tmp_path, recipe(change))
    accuracies, slow = [], 0
    for path in runs_of(folder).values():
        assert read(path / "run.json")["status"] == "complete"
        accuracies.append(read(path / "evaluation.json")["validation"]["accuracy"])
        first = (path / "metrics.jsonl").read_text().splitlines()[0]
        slow += '"classes_predicted": 1.0' in first.split('"validation"')[1]
    assert slow >= 1
    assert min(accuracies) > 0.4


def test_what_knows_nothing_knows_how_frequent_classes_are():
    from tutelage.train.guard import _ignorant

    labels = torch.tensor([0] * 18 + [1] * 9 + [2] * 9)
    training = SimpleNamespace(labelled=True, samples=samples(labels), train=torch.arange(COUNT))
    assert _ignorant(training) == pytest.approx(1.5 * math.log(2))
