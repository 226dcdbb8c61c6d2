"""What is said of slots, checked against the files by plain loops; a damaged file gives one sentence."""

import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.report.fake import HAPT, Fake, write
from tests.report.slotted import TEACHERS, add_slots
from tutelage.errors import UserError
from tutelage.report.panels.workspace.data import (
    by_class,
    effective,
    modes,
    overlap,
    stages_with_modes,
    times_even,
    workspaces,
)
from tutelage.runs.inspection import Inspection
from tutelage.runs.ledger import read_experiment
from tutelage.runs.traces import recorded, trusts

SMALL = {"windows": 20, "epochs": 3, "stages": ("sig", "pi", "gaf", "alone", "annsp")}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return add_slots(write(tmp_path_factory.mktemp("slots"), Fake(**SMALL)), slots=4, kept=30)


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


@pytest.fixture
def found(whole):
    (one,) = workspaces(read_experiment(whole))
    return one


def places_of(folder):
    return sorted(folder.glob("*/annsp/*"))


def arrays(place):
    with np.load(place / "inspection.npz") as stored:
        return {name: stored[name] for name in stored.files}


def lines(place):
    return [
        json.loads(line)["traces"] for line in (place / "metrics.jsonl").read_text().splitlines()
    ]


def count(shares):
    """Effective number by a loop."""
    total = sum(shares)
    return math.exp(-sum(s / total * math.log(s / total) for s in shares if s > 0))


def test_without_slots_nothing_is_found(tmp_path):
    experiment = read_experiment(write(tmp_path, Fake(**SMALL)))
    assert workspaces(experiment) == () and stages_with_modes(experiment) == []
    assert all(run.inspection() is None for run in experiment.runs)


def test_courses_are_those_of_the_logs(whole, found):
    assert (found.stage, found.objective, found.runs) == ("annsp", "workspace", 6)
    assert found.teachers == TEACHERS
    logs = [lines(place) for place in places_of(whole)]
    for e in range(3):
        for one in found.distances:
            values = [log[e][f"workspace.distance.{one.name}"]["mean"] for log in logs]
            assert one.mean[e] == pytest.approx(sum(values) / 6)
            assert (one.low[e], one.high[e]) == (min(values), max(values))
        for one in found.in_use:
            kind = f"bound.{one.name}" if one.name else "read"
            values = [
                count([log[e][f"workspace.{kind}.{k}"]["mean"] for k in (1, 2, 3, 4)])
                for log in logs
            ]
            assert one.mean[e] == pytest.approx(np.mean(values))
            assert one.high[e] == pytest.approx(max(values))
        values = [log[e]["workspace.alignment"]["mean"] for log in logs]
        assert found.alignment[0].mean[e] == pytest.approx(sum(values) / 6)
    assert [one.name for one in found.in_use] == [*TEACHERS, ""]


def test_accuracies_are_those_of_the_logs(whole, found):
    assert [one.name for one in found.accuracy] == ["with", "train", "validation"]
    rows = [
        json.loads((place / "metrics.jsonl").read_text().splitlines()[-1])
        for place in places_of(whole)
    ]
    wanted = [np.mean([row["traces"]["workspace.correct"]["mean"] for row in rows]),
              np.mean([row["train"]["accuracy"] for row in rows]),
              np.mean([row["validation"]["accuracy"] for row in rows])]  # fmt: skip
    assert [one.mean[-1] for one in found.accuracy] == pytest.approx(wanted)


def test_with_teachers_every_run_counts(whole, found):
    assert set(found.with_teachers) == {(f, s) for f in ("fold-1", "fold-2") for s in (0, 1, 2)}
    for place in places_of(whole):
        record, stored = json.loads((place / "run.json").read_text()), arrays(place)
        right = [
            row.argmax() == label
            for row, label in zip(stored["workspace.logits"], stored["labels"], strict=True)
        ]
        assert found.with_teachers[record["fold"], record["seed"]] == pytest.approx(np.mean(right))


def test_slots_are_those_of_one_run_and_never_a_mean(whole, found):
    stored = arrays(next(whole.glob("fold-1/annsp/seed-0-*")))
    assert (found.slots.run.fold, found.slots.run.seed, found.slots.count) == ("fold-1", 0, 4)
    for name in TEACHERS:
        assert np.array_equal(
            found.slots.bound[name], stored[f"workspace.bound.{name}"].astype(float)
        )
    assert set(found.slots.positions) == {"sig", "pi"} and found.slots.own_positions.shape == (
        30,
        4,
        32,
    )
    assert np.array_equal(found.slots.alone, stored["workspace.read_alone"].astype(float))


def test_permuted_slots_give_the_same_numbers_over_runs(folder, found):
    place = next(folder.glob("fold-2/annsp/seed-1-*"))
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    turned = {"1": "3", "2": "1", "3": "4", "4": "2"}
    for row in rows:
        old = dict(row["traces"])
        for name, value in old.items():
            head, _, slot = name.rpartition(".")
            if ".bound." in name or ".read." in name:
                row["traces"][f"{head}.{turned[slot]}"] = value
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    (again,) = workspaces(read_experiment(folder))
    for one, other in zip(found.in_use, again.in_use, strict=True):
        assert one.mean == pytest.approx(other.mean) and one.low == pytest.approx(other.low)


def test_mean_of_each_class_by_a_loop():
    random = np.random.default_rng(0)
    values, labels = random.random((9, 3, 5)), np.array([0, 2, 2, 0, 2, 0, 0, 2, 2])
    got = by_class(values, labels, 4)
    assert np.isnan(got[[1, 3]]).all()
    for c in (0, 2):
        for k in range(3):
            for p in range(5):
                mine = [values[i, k, p] for i in range(9) if labels[i] == c]
                assert got[c, k, p] == pytest.approx(sum(mine) / len(mine))


def test_effective_number():
    assert effective(np.array([[0.5, 0.25, 0.25, 0.0], [0, 0, 3, 0]])) == pytest.approx([2**1.5, 1])
    shares = np.random.default_rng(1).dirichlet(np.ones(6), 20)
    assert effective(shares) == pytest.approx([count(row) for row in shares])
    assert effective(shares[:, ::-1]) == pytest.approx(effective(shares))


@pytest.mark.parametrize("shape", [(7, 3, 8), (7, 3, 4, 5)])
@pytest.mark.parametrize("over", ["positions", "slots"])
def test_places_of_both_kinds_of_tokens_become_comparable(shape, over):
    raw = np.random.default_rng(2).random(shape)
    axes = tuple(range(2, raw.ndim)) if over == "positions" else 1
    place = raw / raw.sum(axis=axes, keepdims=True)
    got = times_even(place)
    even = np.prod(shape[2:]) if over == "positions" else shape[1]
    assert got == pytest.approx(place * even)
    assert times_even(np.ones(shape)) == pytest.approx(np.ones(shape))
    assert times_even(np.zeros(shape)) == pytest.approx(np.ones(shape))


def test_overlap_by_a_loop():
    place = np.random.default_rng(3).dirichlet(np.ones(6), (4, 3))
    pairs = [(0, 1), (0, 2), (1, 2)]
    wanted = [
        sum(min(place[n, a, p], place[n, b, p]) for p in range(6))
        for n in range(4)
        for a, b in pairs
    ]
    assert overlap(place) == pytest.approx(np.mean(wanted))
    assert overlap(np.ones((2, 3, 2, 2))) == pytest.approx(1)
    assert overlap(np.eye(3)[None]) == pytest.approx(0)
    assert math.isnan(overlap(np.ones((2, 1, 5))))


def test_modes_name_the_one_that_is_deployed(whole, folder):
    experiment = read_experiment(whole)
    assert stages_with_modes(experiment) == ["annsp"]
    assert modes(experiment, "annsp") == ("initial_slots", ("ema_slots", "plain"))
    assert modes(experiment, "alone") == ("deployed", ())
    for path in folder.glob("*/annsp/*/evaluation.json"):
        content = json.loads(path.read_text())
        for split in content.values():
            split["variants"] = {"something": split["variants"]["plain"]}
        path.write_text(json.dumps(content))
    assert modes(read_experiment(folder), "annsp") == ("deployed", ("something",))


def test_a_variant_out_of_range_is_refused(folder):
    path = places_of(folder)[0] / "evaluation.json"
    content = json.loads(path.read_text())
    content["test"]["variants"]["plain"]["accuracy"] = 1.2
    path.write_text(json.dumps(content))
    (hole,) = read_experiment(folder).holes
    assert "test.variants.plain.accuracy: Input should be less than" in hole.reason


def test_values_of_slots_are_not_among_the_others(whole):
    (other,) = recorded(read_experiment(whole))
    assert [one.name for one in other.courses] == ["workspace.soft", "workspace.labels"]


def test_a_distance_without_slots_stays_among_the_others(tmp_path):
    fake = Fake(**SMALL, traces={"annsp": ("soft.distance.sig", "soft.correct", "soft.read.1")})
    (other,) = recorded(read_experiment(write(tmp_path, fake)))
    assert [one.name for one in other.courses] == [
        "soft.distance.sig",
        "soft.correct",
        "soft.read.1",
    ]


def test_objectives_that_weigh_alike_are_told_once(whole, folder):
    (one,) = trusts(read_experiment(whole))
    assert one.objective == "workspace.soft, workspace.relations" and one.teachers == TEACHERS
    place = places_of(folder)[0]
    rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
    rows[0]["traces"]["workspace.relations.weight.sig"]["mean"] += 1e-6
    (place / "metrics.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    assert [one.objective for one in trusts(read_experiment(folder))] == [
        "workspace.soft",
        "workspace.relations",
    ]


def test_logs_alone_and_inspection_alone(folder):
    for place in places_of(folder):
        (place / "inspection.npz").unlink()
    (one,) = workspaces(read_experiment(folder))
    assert (
        one.slots is None and one.with_teachers == {} and one.teachers == TEACHERS and one.distances
    )


def test_inspection_without_logs(folder):
    for place in places_of(folder):
        (place / "metrics.jsonl").unlink()
    (one,) = workspaces(read_experiment(folder))
    assert (
        one.runs == 0 and one.distances == one.in_use == one.accuracy == () and one.slots.count == 4
    )
    assert one.teachers == TEACHERS and len(one.with_teachers) == 6


def spoil(name, change):
    def apply(stored):
        stored[name] = change(stored[name])

    return apply


def negative(values):
    values = values.copy()
    values[0, 0] = -0.1
    values[0, 1] += 0.1 + values[0, 0]
    return values


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (spoil("labels", lambda a: a[:-1]), r"index is \(30,\), but there are 29 labels"),
        (spoil("labels", lambda a: a + 6), r"labels must lie between 0 and 5"),
        (spoil("labels", lambda a: np.int64(3)), r"labels is \(\), but there are 1 labels|index is"),
        (spoil("labels", lambda a: (a + 1) % 6), r"sample \d+ is of class \d, but predictions-validation"),
        (spoil("index", lambda a: a + 10**6), r"but predictions-validation.npz has no such sample"),
        (spoil("examples", lambda a: a + 30), r"examples must lie between 0 and 29"),
        (spoil("inputs", lambda a: a[1:]), r"inputs is \(11, 6, 128\), but there are 12 examples"),
        (spoil("inputs", lambda a: a * np.nan), r"a value of inputs is not finite"),
        (spoil("workspace.read", lambda a: a[1:]), r"workspace.read is \(29, 4\), but there are 30 samples"),
        (spoil("workspace.read", lambda a: a[..., None]), r"workspace.bound.sig is .* like the others|read"),
        (spoil("workspace.bound.pi", lambda a: a[:, 1:]), r"workspace.bound.pi is \(30, 3\), expected"),
        (spoil("workspace.bound.pi", lambda a: 2 * a), r"bound.pi: the shares of .* do not sum to one"),
        (spoil("workspace.read_alone", negative), r"read_alone: the shares"),
        (spoil("workspace.place.sig", lambda a: a[:, 1:]), r"workspace.place.sig is \(30, 3, 32\), expected"),
        (spoil("workspace.place", lambda a: a[..., 0]), r"workspace.place is \(30, 4\), expected"),
        (spoil("workspace.place", lambda a: -a), r"none below zero"),
        (spoil("workspace.logits", lambda a: a[:, 1:]), r"workspace.logits is \(30, 5\), expected \(30, 6\)"),
        (lambda stored: stored.pop("examples"), "not a file of inspected samples"),
        (lambda stored: stored.pop("workspace.read"), "workspace.read is missing"),
        (spoil("index", lambda a: np.array([object()] * 30)), "not a file of inspected samples"),
        (spoil("index", lambda a: np.array(["a"] * 30)), "no such sample"),
    ],
)  # fmt: skip
def test_a_contradicting_file_gives_one_sentence(folder, change, message):
    path = next(folder.glob("fold-1/annsp/seed-0-*")) / "inspection.npz"
    stored = arrays(path.parent)
    change(stored)
    np.savez(path, **stored)
    with pytest.raises(UserError, match=message) as caught:
        workspaces(read_experiment(folder))
    assert "inspection.npz" in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("content", ["cut", "text", "empty"])
def test_a_damaged_file_gives_one_sentence(folder, content):
    path = next(folder.glob("fold-2/annsp/seed-2-*")) / "inspection.npz"
    whole = path.read_bytes()
    path.write_bytes(
        {"cut": whole[: len(whole) // 2], "text": b"no archive", "empty": b""}[content]
    )
    with pytest.raises(UserError, match="not a file of inspected samples") as caught:
        workspaces(read_experiment(folder))
    assert "\n" not in str(caught.value)


def test_a_flipped_byte_gives_one_sentence_or_changes_nothing(folder):
    path = next(folder.glob("fold-1/annsp/seed-0-*")) / "inspection.npz"
    whole = path.read_bytes()
    for at in np.random.default_rng(0).integers(0, len(whole), 200):
        content = bytearray(whole)
        content[at] ^= 0xFF
        path.write_bytes(content)
        try:
            Inspection.load(path, 6, None)
        except UserError as error:
            assert "\n" not in str(error)


def test_the_classes_are_the_experiments(found):
    assert found.slots.classes == HAPT
