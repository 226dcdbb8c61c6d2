"""Inside the workspace: every way of predicting, and slots of one run; what is shown is what the files say."""

import json
import re

import numpy as np
import pytest

from tests.report.fake import HAPT, Fake, example_window, write
from tests.report.panels.test_trust import captions, section, tables, texts
from tests.report.slotted import MODES, TEACHERS, add_slots
from tests.report.test_page import Page
from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.report import write_report
from tutelage.report.panels.workspace import words
from tutelage.report.panels.workspace.data import workspaces
from tutelage.report.panels.workspace.figures import classes_shown
from tutelage.report.panels.workspace.positions import chosen, sources
from tutelage.report.wording import significant
from tutelage.runs.ledger import read_experiment

SMALL = {
    "windows": 20,
    "epochs": 3,
    "stages": ("sig", "pi", "gaf", "alone", "annsp"),
    "seeds": (0, 1),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = add_slots(write(tmp_path_factory.mktemp("slots"), Fake(**SMALL)))
    return folder, write_report(folder, example=example_window()).read_text()


def shown_run(folder):
    place = next(folder.glob("fold-1/annsp/seed-0-*"))
    with np.load(place / "inspection.npz") as stored:
        return {name.removeprefix("workspace."): stored[name] for name in stored.files}


def titles(html):
    return re.findall(r'<p class="title">([^<]*)</p>', html)


def write_and_show(tmp_path, fake, stages=("annsp",), **options):
    folder = write(tmp_path, fake)
    for stage in stages:
        add_slots(folder, stage, **options)
    return folder, section(write_report(folder).read_text(), "workspace")


def test_a_page_without_slots_has_no_such_section(tmp_path):
    html = write_report(write(tmp_path, Fake(**SMALL))).read_text()
    assert not section(html, "workspace") and "workspace" not in re.sub(
        r"<style>.*?</style>", "", html, flags=re.S
    )


def test_the_section_is_linked_and_sound(made):
    html = made[1]
    page = Page(html)
    assert "#workspace" in page.links and "workspace" in page.ids
    assert len(page.ids) == len(set(page.ids)) and not page.wrong and not page.open
    assert set(page.used) <= set(page.ids)
    assert titles(section(html, "workspace")) == [
        f"annsp: {kind}" for kind in ("over epochs", "which slot binds which class, from which teacher",
                                      "which slot binds which part of a window", "when in a window")
    ]  # fmt: skip
    assert all(target.startswith(("#", "data:")) for target in re.findall(r"url\(([^)]*)\)", html))


def test_the_table_stands_first_and_has_every_mode(made):
    folder, html = made
    shown = section(html, "workspace")
    assert shown.index("<table") < shown.index("<figure")
    rows = tables(shown)[0]
    assert [row["reads"] for row in rows] == [
        "initial_slots", "ema_slots", "plain", "with teachers: workspace"
    ]  # fmt: skip
    files = [json.loads(path.read_text()) for path in folder.glob("*/annsp/*/evaluation.json")]
    for split, column in (("validation", "validation"), ("test", "test")):
        own = np.mean([file[split]["accuracy"] for file in files])
        assert float(rows[0][column]) == pytest.approx(own)
        for row, change in zip(rows[1:3], MODES.values(), strict=True):
            assert float(row[column]) == pytest.approx(own + change)
    assert [float(row["difference"]) for row in rows[1:3]] == pytest.approx([1.0, -4.0])
    assert rows[0]["difference"] == rows[3]["difference"] == rows[3]["test"] == ""
    right = []
    for path in folder.glob("*/annsp/*/inspection.npz"):
        with np.load(path) as stored:
            right.append((stored["workspace.logits"].argmax(1) == stored["labels"]).mean())
    assert float(rows[3]["validation"]) == pytest.approx(np.mean(right)) and rows[3]["n"] == "4"
    assert (folder / "report" / "tables" / "modes.csv").is_file()


def test_cells_of_the_heat_map_are_means_of_one_run(made):
    folder, html = made
    stored = shown_run(folder)
    (rows,) = [table for table in tables(section(html, "workspace")) if "mean_share" in table[0]]
    assert {(row["fold"], row["seed"]) for row in rows} == {("fold-1", "0")}
    heads = {f"bound from {name}": f"bound.{name}" for name in TEACHERS}
    heads |= {
        "read by the student, with teachers": "read",
        "read by the student, as deployed": "read_alone",
    }
    assert {row["what"] for row in rows} == set(heads)
    for row in rows:
        mine = stored[heads[row["what"]]][
            stored["labels"] == HAPT.index(row["class"]), int(row["slot"]) - 1
        ]
        assert float(row["mean_share"]) == pytest.approx(mine.mean(), rel=1e-5)


def test_the_sentences_say_what_the_file_says(made):
    folder, html = made
    stored = shown_run(folder)
    said = captions(section(html, "workspace"))[1]
    for name in TEACHERS:
        cells = [stored[f"bound.{name}"][stored["labels"] == c].mean(0) for c in range(6)]
        c, k = divmod(int(np.argmax(cells)), 5)
        assert (
            f"From {name}: most in slot {k + 1}, for {HAPT[c]} ({100 * cells[c][k]:.0f} %)." in said
        )
    assert "An even use would be 20 % in every slot." in said and "fold-1, seed 0" in said
    assert "are not averaged" in said


def test_windows_show_the_signal_and_every_place(made):
    folder, html = made
    stored = shown_run(folder)
    shown = section(html, "workspace")
    (rows,) = [table for table in tables(shown) if "slot_or_channel" in table[0]]
    assert {row["what"] for row in rows} == {
        "input",
        "read by the student",
        "bound from sig",
        "bound from pi",
    }
    assert {row["class"] for row in rows} == {"walking", "downstairs", "lying"}
    for row in rows[::97]:
        at = int(np.flatnonzero(stored["index"] == int(row["sample"]))[0])
        k, p = int(row["slot_or_channel"]) - 1, int(row["position"])
        if row["what"] == "input":
            example = int(np.flatnonzero(stored["examples"] == at)[0])
            assert float(row["value"]) == pytest.approx(stored["inputs"][example, k, p], rel=1e-5)
        else:
            name = row["what"].removeprefix("bound from ")
            place = stored["place" if name == "read by the student" else f"place.{name}"][at]
            assert float(row["value"]) == pytest.approx(
                place[k].ravel()[p] * place[k].size, rel=1e-4
            )
    assert "Not drawn: gaf." in captions(shown)[2] and {"acc x", "gyro z", "seconds"} <= set(
        texts(shown)
    )


def test_the_places_of_a_class_are_means(made):
    folder, html = made
    stored = shown_run(folder)
    (rows,) = [
        table for table in tables(section(html, "workspace")) if "times_even_use" in table[0]
    ]
    for row in rows[::53]:
        mine = stored["place"][stored["labels"] == HAPT.index(row["class"])]
        wanted = 32 * mine[:, int(row["slot"]) - 1, int(row["position"])].mean()
        assert float(row["times_even_use"]) == pytest.approx(wanted, rel=1e-4)


def test_slots_that_do_the_same_are_said_to(tmp_path):
    said = captions(write_and_show(tmp_path, Fake(**SMALL), taste=0.0)[1])
    assert "From sig: every slot alike, for every class." in said[1]
    assert "No slot stands for a class. Nothing here tells the slots apart" in said[1]
    assert (
        "100 % for the student, 100 % for sig and 100 % for pi; they do not divide it among them"
        in said[2]
    )
    assert (
        "No slot prefers a part on average: every value is within 10 % of an even use." in said[3]
    )


def test_one_slot_that_takes_everything_is_named(tmp_path):
    folder, _ = write_and_show(tmp_path, Fake(**SMALL))
    path = next(folder.glob("fold-1/annsp/seed-0-*/inspection.npz"))
    with np.load(path) as stored:
        content = {name: stored[name] for name in stored.files}
    content["workspace.bound.sig"] = np.tile([0.02, 0.02, 0.92, 0.02, 0.02], (40, 1))
    content["workspace.bound.pi"] = np.tile([0.3, 0.2, 0.2, 0.2, 0.1], (40, 1))
    np.savez(path, **content)
    said = captions(section(write_report(folder).read_text(), "workspace"))[1]
    assert "From sig: nearly everything in slot 3 (92 %)." in said
    assert "From pi: most in slot 1 (30 %), for every class alike." in said


def test_two_stages_and_the_best_is_open(tmp_path):
    stages = (*SMALL["stages"], "ann")
    fake = Fake(**SMALL | {"stages": stages}, validation_skill={"annsp": 1.3, "ann": 0.8})
    _, html = write_and_show(tmp_path, fake, stages=("ann", "annsp"), slots=3)
    assert [title.split(":")[0] for title in titles(html)] == ["annsp"] * 4 + ["ann"] * 4
    assert html.count("<details") == 4 and html.index("<details") > html.index(
        "annsp: when in a window"
    )
    groups = re.findall(r'scope="rowgroup">([^<]*)<', html)
    assert groups == ["ann", "annsp"]


def test_an_image_student_has_maps(tmp_path):
    _, html = write_and_show(tmp_path, Fake(**SMALL), shape=(3, 16, 16))
    assert titles(html)[2:] == [
        "annsp: which slot binds which part of an image",
        "annsp: where in an image",
    ]
    assert "a channel on one scale" not in html


def test_many_classes_and_slots_fit(tmp_path):
    classes = tuple(f"class number {i:02d} & a long name" for i in range(24))
    fake = Fake(**SMALL | {"windows": 150}, classes=classes)
    folder, html = write_and_show(tmp_path, fake, slots=10, kept=240)
    (found,) = workspaces(read_experiment(folder))
    kept = classes_shown(found.slots)
    assert len(kept) == 20 and kept == sorted(kept)
    assert "Of 24 classes the 20 that use slots most unlike the others." in captions(html)[1]
    assert all(int(width) <= 1100 for width in re.findall(r"max-width:(\d+)px", html))


def test_three_windows_of_classes_far_apart(made):
    (found,) = workspaces(read_experiment(made[0]))
    labels = found.slots.samples.labels[found.slots.samples.examples]
    assert [int(labels[i]) for i in chosen(found.slots)] == [0, 2, 5]
    assert list(sources(found.slots)) == ["read by the student", "bound from sig", "bound from pi"]


def test_modes_without_any_inspection(tmp_path):
    folder = write(tmp_path, Fake(**SMALL))
    add_slots(folder)
    for place in folder.glob("*/annsp/*"):
        (place / "inspection.npz").unlink()
        rows = [json.loads(line) for line in (place / "metrics.jsonl").read_text().splitlines()]
        text = "\n".join(json.dumps(row | {"traces": {}}) for row in rows)
        (place / "metrics.jsonl").write_text(text + "\n")
    html = section(write_report(folder).read_text(), "workspace")
    assert not titles(html) and [row["reads"] for row in tables(html)[0]] == [
        "initial_slots",
        "ema_slots",
        "plain",
    ]


def test_a_damaged_inspection_costs_its_panel_alone(tmp_path):
    folder = write(tmp_path, Fake(**SMALL))
    add_slots(folder)
    path = next(folder.glob("fold-2/annsp/seed-1-*/inspection.npz"))
    path.write_bytes(b"PK")
    html = write_report(folder).read_text()
    assert not section(html, "workspace") and section(html, "results")
    (note,) = re.findall(r"[^<>]*inspection\.npz[^<>]*", section(html, "holes"))
    assert note.startswith(f"{path}: not a file of inspected samples (")
    assert note.endswith("); what needs this file is not shown.")


def test_the_report_is_the_same_twice(tmp_path):
    folder = write(tmp_path, Fake(**SMALL))
    add_slots(folder)
    first = write_report(folder, tmp_path / "one").read_bytes()
    assert write_report(folder, tmp_path / "two").read_bytes() == first


def test_significant_digits():
    assert [significant(x) for x in (0.0000791, 0.0285, 12.3, 1234.5, -0.5)] == [
        "0.000079", "0.029", "12", "1234", "−0.50",
    ]  # fmt: skip


def test_over_epochs_says_what_the_logs_say(made):
    (found,) = workspaces(read_experiment(made[0]))
    said = words.over_epochs(found)
    for one in found.distances:
        assert f"{one.name} {significant(one.mean[-1])} (first {significant(one.mean[0])})" in said
    last = {one.name: one.mean[-1] for one in found.accuracy}
    assert f"right in {100 * last['with']:.1f} % with its teachers' slots" in said
    assert f"{100 * last['train']:.1f} % as it is deployed" in said


def test_a_real_workspace_shows_itself(tmp_path):
    def change(content):
        content["seeds"] = [0]
        content["distiller"] = {
            "labels": {"type": "Labels"},
            "binding": {
                "type": "KnowledgeBinding",
                "objectives": {"labels": {"type": "Labels"}, "soft": {
                    "type": "PerTeacher", "term": {"type": "SoftTargets", "temperature": 4},
                    "weighting": "Closeness"}},
            },
        }  # fmt: skip
        student = {"type": "LatentWorkspace", "network": content["network"], "slots": 3, "heads": 2}
        content["stages"] = {
            "sig": {}, "gaf": {"input": "gaf"}, "alone": {},
            "workspace": {"network": student, "teachers": ["sig", "gaf"]},
        }  # fmt: skip

    folder = execute(tmp_path, recipe(change))
    (found,) = workspaces(read_experiment(folder))
    assert found.teachers == ("sig", "gaf") and found.slots.count == 3
    assert set(found.slots.bound) == {"sig", "gaf"} and found.slots.own_positions.shape[1:] == (
        3,
        8,
    )
    html = section(write_report(folder).read_text(), "workspace")
    assert len(titles(html)) == 4 and titles(html)[0] == "workspace: over epochs"
    rows = tables(html)[0]
    assert [row["reads"] for row in rows] == [
        "initial_slots",
        "ema_slots",
        "plain",
        "with teachers: binding",
    ]
