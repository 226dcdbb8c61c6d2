"""CRD: a slow loop, golden numbers of the authors' code over two steps, the memory and the draws."""

import math
from dataclasses import replace

import pytest
import torch

from tests.doubles.waves import wave
from tests.training.small import recipe
from tutelage import losses
from tutelage.checkpoint import read
from tutelage.execution.run import execute as run_experiment
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse
from tutelage.runs.writer import RunFolder
from tutelage.terms import ContrastiveRepresentation
from tutelage.types import Batch, Clock, Facts, Output, View


def test_equals_a_loop():
    scores = wave(4, 6, step=1.3) + 1.1
    found = losses.noise_contrast(scores, 50)
    noise = 5 / 50
    by_hand = [
        -math.log(row[0] / (row[0] + noise + 1e-7))
        - sum(math.log(noise / (p + noise + 1e-7)) for p in row[1:])
        for row in scores.tolist()
    ]
    assert found.tolist() == pytest.approx(by_hand, rel=1e-9)
    assert torch.autograd.gradcheck(
        lambda s: losses.noise_contrast(s, 50), scores.clone().requires_grad_()
    )


def facts(labels, classes=3, student=4, teacher=6):
    """A data set of these labels (-1: not in training), seen through its first two samples."""
    outputs = [
        Output(torch.zeros(2, 3), {"embedding": torch.zeros(2, n)}) for n in (student, teacher)
    ]
    view = View(outputs[0], {"t": outputs[1]}, Batch({}, labels[:2], torch.arange(2)), Clock())
    counts = torch.bincount(labels[labels >= 0], minlength=classes)
    return Facts(view, counts, labels=labels)


def prepared(labels, **arguments):
    term = ContrastiveRepresentation(**arguments)
    term.prepare(facts(labels))
    return term


def test_equals_the_authors_code_over_two_steps():
    # HobbitLong/RepDistiller@b84f547c5db6a35318d4671d7d5c4de74c822403, crd/: CRDLoss with given indices and
    # initial memories; the second step sees the memories and constants that the first has left.
    term = prepared(torch.zeros(10, dtype=torch.long).scatter(0, torch.arange(3), 1), width=3)
    term.double()
    with torch.no_grad():
        term.student.weight.copy_(wave(3, 4, step=0.9))
        term.student.bias.copy_(wave(3, step=0.4))
        term.teacher.weight.copy_(wave(3, 6, step=1.1))
        term.teacher.bias.copy_(wave(3, step=0.2, phase=1))
    term.student_memory.copy_(wave(10, 3, step=0.31) / 2)
    term.teacher_memory.copy_(wave(10, 3, step=0.53, phase=0.2) / 2)
    rows = torch.tensor([3, 8, 0, 5, 1])
    negatives = (torch.arange(35).reshape(5, 7) * 3 + rows[:, None] + 1) % 10
    golden = [
        (
            20.35733969314868,
            3.702670283816987,
            0.32835207537731537,
            [-0.13881435653630234, 0.6651829384646719, 0.7336635692161064],
            [0.599769297840195, 0.6067164553053422, 0.5217009988777096],
        ),
        (
            15.780564751667555,
            10.066790877922621,
            0.18587723038848405,
            [-0.4631938485950455, 0.8318162229706705, 0.3058320287780827],
            [0.025022001668462055, 0.470465313781693, 0.8820636530096887],
        ),
    ]
    for step, (loss, total, one, student_row, teacher_row) in enumerate(golden):
        fs = wave(5, 4, step=0.6, phase=0.3 + step).requires_grad_()
        ft = wave(5, 6, step=0.8, phase=0.1 + step)
        found = term.contrast(term.student(fs), term.teacher(ft), rows, negatives).mean()
        assert found.item() == pytest.approx(loss, rel=1e-9)
        found.backward()
        assert fs.grad.abs().sum().item() == pytest.approx(total, rel=1e-7)
        assert fs.grad[1, 2].item() == pytest.approx(one, rel=1e-7)
        assert term.constants.tolist() == pytest.approx(
            [198.68974817633307, 173390.53536808223], rel=1e-9
        )
        assert term.student_memory[8].tolist() == pytest.approx(student_row, rel=1e-9)
        assert term.teacher_memory[5].tolist() == pytest.approx(teacher_row, rel=1e-9)


LABELS = torch.tensor([2, 0, -1, 1, 0, 2, 2, -1, 1, 0, 2])


def class_of(term):
    """The class of each row of the memories."""
    found = torch.full((9,), -1)
    ids = (LABELS >= 0).nonzero().squeeze(1)
    found[term.rows[ids]] = LABELS[ids]
    return found


def test_rows_hold_the_training_samples_once_and_negatives_are_of_other_classes():
    term = prepared(LABELS, negatives=5)
    assert sorted(term.rows[LABELS >= 0].tolist()) == list(range(9))
    assert (term.rows[LABELS < 0] == -1).all()
    labels = torch.tensor([0, 1, 2, 2])
    for drawn in (term._drawn(labels), term._spread(labels)):
        assert drawn.shape == (4, 5)
        assert (class_of(term)[drawn] != labels[:, None]).all()
    # Of the largest class exactly as many negatives are left as are asked for: evenly spread is all of them.
    assert sorted(term._spread(torch.tensor([2]))[0].tolist()) == [0, 1, 2, 3, 4]
    many = prepared(LABELS)
    assert many.negatives == 5


def test_every_other_sample_is_drawn_alike():
    term = prepared(LABELS, negatives=5)
    torch.manual_seed(0)
    drawn = term._drawn(torch.zeros(4000, dtype=torch.long)).flatten()
    counts = torch.bincount(drawn, minlength=9)
    assert (counts[class_of(term) == 0] == 0).all()
    others = counts[class_of(term) != 0].double() / len(drawn)
    torch.testing.assert_close(others, torch.full((6,), 1 / 6).double(), rtol=0.05, atol=0)


def batch(ids):
    return Batch({}, LABELS[ids], ids)


def outputs(ids, seed):
    random = torch.Generator().manual_seed(seed)
    fs, ft = (torch.randn(11, n, generator=random)[ids] for n in (4, 6))
    return Output(torch.zeros(len(ids), 3), {"embedding": fs}), Output(
        torch.zeros(len(ids), 3), {"embedding": ft}
    )


def run(term, steps):
    found = []
    for step in steps:
        ids = torch.tensor([[0, 3, 5, 9], [1, 4, 6, 8]][step % 2])
        s, t = outputs(ids, step)
        found.append(term(s, t, View(s, {"t": t}, batch(ids), Clock())))
    return torch.stack(found)


def test_a_restored_memory_and_seed_go_on_bit_equal():
    torch.manual_seed(0)
    first = prepared(LABELS, negatives=4)
    run(first, range(2))
    state = {key: value.clone() for key, value in first.state_dict().items()}
    torch.manual_seed(7)
    expected = run(first, range(2, 5))
    torch.manual_seed(123)
    second = prepared(LABELS, negatives=4)
    second.load_state_dict(state)
    torch.manual_seed(7)
    assert torch.equal(run(second, range(2, 5)), expected)
    assert torch.equal(second.student_memory, first.student_memory)
    assert {"student_memory", "teacher_memory", "constants"} <= state.keys()


def test_training_remembers_unit_vectors_and_evaluation_remembers_nothing():
    torch.manual_seed(0)
    term = prepared(LABELS, negatives=4, momentum=0.5)
    before = term.student_memory.clone()
    term.eval()
    torch.testing.assert_close(run(term, range(1)), run(term, range(1)), rtol=0, atol=0)
    assert torch.equal(term.student_memory, before)
    assert not term.constants.any()
    term.train()
    run(term, range(1))
    touched = term.rows[torch.tensor([0, 3, 5, 9])]
    changed = (term.student_memory != before).any(dim=1)
    assert changed.nonzero().squeeze(1).tolist() == sorted(touched.tolist())
    torch.testing.assert_close(term.student_memory[touched].norm(dim=1), torch.ones(4))
    constants = term.constants.clone()
    run(term, range(1, 3))
    assert torch.equal(term.constants, constants)


def test_gradients_reach_student_and_projections_and_stop_at_teacher_and_memory():
    term = prepared(LABELS, negatives=4)
    ids = torch.tensor([0, 3, 5, 9])
    s, t = outputs(ids, 0)
    for out in (s, t):
        out.features["embedding"].requires_grad_()
    term(s, t, View(s, {"t": t}, batch(ids), Clock())).sum().backward()
    assert s.features["embedding"].grad.abs().sum() > 0
    assert t.features["embedding"].grad is None
    assert all(p.grad is not None for p in term.parameters())
    assert not term.student_memory.requires_grad


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"width": 0}, "width: 0 must be >= 1"),
        ({"negatives": 0}, "negatives: 0 must be >= 1"),
        ({"temperature": 0}, "temperature: 0 must be > 0"),
        ({"momentum": 1}, r"momentum: 1 must be in \[0, 1\)"),
    ],
)
def test_impossible_arguments_are_refused(arguments, sentence):
    with pytest.raises(ValueError, match=sentence):
        ContrastiveRepresentation(**arguments)


def test_what_cannot_be_contrasted_is_refused():
    term = ContrastiveRepresentation()
    known = facts(LABELS)
    with pytest.raises(ValueError, match="needs the labels of the training split"):
        term.prepare(replace(known, labels=None))
    with pytest.raises(ValueError, match="are of one class"):
        term.prepare(facts(torch.zeros(5, dtype=torch.long)))
    with pytest.raises(ValueError, match=r"no feature 'stage9' \(there are: embedding\)"):
        ContrastiveRepresentation("stage9").prepare(known)
    ids = torch.tensor([0, 2])
    s, t = outputs(ids, 0)
    with pytest.raises(ValueError, match="is not in the training split"):
        prepared(LABELS)(s, t, View(s, {"t": t}, batch(ids), Clock()))


class Killed(BaseException):
    """Stands for the power going out."""


def test_a_run_stopped_between_epochs_goes_on_and_ends_bit_equal(tmp_path, monkeypatch):
    def change(content):
        content["train"]["epochs"] = 4
        content["stages"] = {"sig": {"train": {"epochs": 1}}, "crd": {"teachers": ["sig"]}}
        content["distiller"] = {
            "labels": {"type": "Labels"},
            "contrast": {
                "type": "PerTeacher",
                "term": {"type": "ContrastiveRepresentation", "width": 8},
                "coefficient": 0.8,
            },
        }
        content["baseline"] = None

    def execute(name):
        places = RunConfig(tmp_path / name, tmp_path, "cpu", 1)
        folder = run_experiment(parse(Recipe, recipe(change), ""), "it", places)
        (path,) = folder.glob("*/crd/*")
        return path

    calm = execute("calm")
    last = RunFolder.last

    def killing(folder, state):
        last(folder, state)
        if state.epoch == 2 and "crd" in str(folder.path):
            monkeypatch.setattr(RunFolder, "last", last)
            raise Killed

    monkeypatch.setattr(RunFolder, "last", killing)
    with pytest.raises(Killed):
        execute("killed")
    again = execute("killed")
    assert (again / "metrics.jsonl").read_bytes() == (calm / "metrics.jsonl").read_bytes()
    states = [read(path / "last.safetensors") for path in (again, calm)]
    for part in ("student", "distiller"):
        assert states[0][part].keys() == states[1][part].keys()
        for key, value in states[0][part].items():
            assert torch.equal(value, states[1][part][key]), key
    assert any(key.endswith("student_memory") for key in states[0]["distiller"])
