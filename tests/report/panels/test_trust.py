"""Trust in teachers: what is shown is what the run folders say."""

import csv
import io
import json
import re
from itertools import pairwise
from urllib.parse import unquote

import numpy as np
import pytest

from tests.report.fake import GENEACTIV, HAPT, Fake, write
from tests.report.test_page import Page
from tests.report.tilted import FIRST
from tests.training.small import recipe
from tests.training.test_runs import execute
from tutelage.report import write_report
from tutelage.report.drawing.epochs import apart, looks
from tutelage.report.palette import SERIES
from tutelage.report.panels.trust import words
from tutelage.report.panels.trust.figures import by_class, classes_shown, over_epochs
from tutelage.runs.ledger import read_experiment
from tutelage.runs.traces import Course, Trust, trusts

SMALL = {
    "windows": 20,
    "epochs": 3,
    "stages": ("sig", "pi", "gaf", "alone", "base"),
    "trained": 120,
}


def weights(*teachers, objective="soft"):
    return tuple(f"{objective}.weight.{name}" for name in teachers)


def section(html, key):
    found = re.search(rf'<section id="{key}">.*?</section>', html, re.S)
    return found.group(0) if found else ""


def tables(html):
    links = re.findall(r'href="data:text/csv;charset=utf-8,([^"]*)"', html)
    return [list(csv.DictReader(io.StringIO(unquote(link)))) for link in links]


def captions(html):
    return [" ".join(text.split()) for text in re.findall(r"<figcaption>(.*?)<a", html, re.S)]


def texts(html):
    return re.findall(r"<text[^>]*>([^<]*)</text>", html)


def last_lines(folder, stage):
    paths = sorted(folder.glob(f"*/{stage}/*/metrics.jsonl"))
    return [json.loads(path.read_text().splitlines()[-1])["traces"] for path in paths]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    fake = Fake(
        **SMALL,
        traces={"base": (*weights("sig", "pi", "gaf"), "soft.distance.sig", "soft.distance.pi",
                         "hint.gap")},
        untrained=("standing",),
    )  # fmt: skip
    folder = write(tmp_path_factory.mktemp("trust"), fake)
    return folder, write_report(folder).read_text()


def course(name, *values):
    found = np.array(values, dtype=float)
    epochs = np.arange(len(values))
    return Course(name, epochs, found, found, found, np.ones(len(values), int))


def trust(last, cells, classes=("a", "b"), top=None, runs=1, first=None):
    """A finding made by hand: teachers t0, t1, ..."""
    many = range(len(last))
    courses = [course(f"t{k}", *([] if first is None else [first[k]]), last[k]) for k in many]
    shares = None if top is None else np.array(top)
    return Trust("s", "soft", tuple(courses), classes, np.array(cells, float), runs, shares, 1)


def test_a_page_without_traces_has_no_such_section(tmp_path):
    html = write_report(write(tmp_path, Fake(**SMALL))).read_text()
    assert not section(html, "trust") and not section(html, "recorded")
    assert "#trust" not in html and "#recorded" not in html and "Trust in teachers" not in html


def test_the_sections_are_linked_and_sound(made):
    html = made[1]
    page = Page(html)
    assert {"#trust", "#recorded"} <= set(page.links) and {"trust", "recorded"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids)) and not page.wrong and not page.open
    assert {link[1:] for link in page.links if link.startswith("#")} <= set(page.ids)
    labels = re.findall(r'aria-label="([^"]*)"', section(html, "trust"))
    assert labels == [
        "Weight of each teacher over epochs, base, soft",
        "Weight of each teacher by class, base, soft",
    ]
    assert all(target.startswith(("#", "data:")) for target in re.findall(r"url\(([^)]*)\)", html))


def test_the_numbers_are_those_of_the_logs(made):
    folder, html = made
    lines = last_lines(folder, "base")
    shown = section(html, "trust")
    over, cells = tables(shown)
    for teacher in ("sig", "pi", "gaf"):
        means = [line[f"soft.weight.{teacher}"]["mean"] for line in lines]
        row = next(r for r in over if (r["teacher"], r["epoch"]) == (teacher, "3"))
        assert float(row["mean"]) == pytest.approx(np.mean(means))
        assert float(row["lowest"]) == pytest.approx(min(means))
        assert float(row["highest"]) == pytest.approx(max(means)) and row["runs"] == "6"
        assert f"{teacher} {np.mean(means):.2f}" in texts(shown)
        for c, name in enumerate(HAPT):
            values = [line[f"soft.weight.{teacher}"]["by_class"][c] for line in lines]
            cell = next(r for r in cells if (r["teacher"], r["class"]) == (teacher, name))
            if name == "standing":
                assert cell["mean_in_last_epoch"] == "nan"
            else:
                assert float(cell["mean_in_last_epoch"]) == pytest.approx(np.mean(values))
                assert f"{np.mean(values):.2f}" in texts(shown)
    assert texts(shown).count("–") == 3 and "6 runs" in texts(shown)


def test_the_sentences_say_what_the_logs_say(made):
    folder, html = made
    lines = last_lines(folder, "base")
    means = {
        t: np.mean([line[f"soft.weight.{t}"]["mean"] for line in lines])
        for t in ("sig", "pi", "gaf")
    }
    best = max(means, key=means.get)
    known = [c for c, name in enumerate(HAPT) if name != "standing"]
    of_class = {HAPT[c]: np.mean([line[f"soft.weight.{best}"]["by_class"][c] for line in lines])
                for c in known}  # fmt: skip
    most, least = max(of_class, key=of_class.get), min(of_class, key=of_class.get)
    wins = {teacher: [] for teacher in means}
    for path in folder.glob("*/base/*/traces.npz"):
        with np.load(path) as stored:
            rows = list(zip(*(stored[f"soft.weight.{t}"] for t in means), strict=True))
        tops = [list(means)[row.index(max(row))] for row in rows]
        for teacher in means:
            wins[teacher].append(100 * tops.count(teacher) / len(tops))
    over, cells = captions(section(html, "trust"))
    assert over.startswith(
        f"{best} was trusted most: {means[best]:.2f} on average in the last epoch"
    )
    for teacher, mean in means.items():
        assert f"{teacher} {np.mean(wins[teacher]):.1f} %" in over
        assert teacher == best or f"{teacher} ({mean:.2f})" in over
    assert cells.startswith(f"{best} was trusted most for {most} ({of_class[most]:.2f}), least for "
                            f"{least} ({of_class[least]:.2f}).")  # fmt: skip
    assert "No weights were recorded for standing." in cells


def test_other_values_stand_apart(made):
    folder, html = made
    shown = section(html, "recorded")
    (rows,) = tables(shown)
    assert {(row["value"], row["teacher"]) for row in rows} == {
        ("soft.distance", "sig"), ("soft.distance", "pi"), ("hint.gap", "")
    }  # fmt: skip
    gap = np.mean([line["hint.gap"]["mean"] for line in last_lines(folder, "base")])
    assert float(rows[-1]["mean"]) == pytest.approx(gap)
    assert not any("weight" in text for text in texts(shown))
    assert {"soft.distance", "hint.gap"} <= set(texts(shown))
    near = np.mean([line["soft.distance.pi"]["mean"] for line in last_lines(folder, "base")])
    assert f"pi {near:.3g}" in texts(shown)


def test_other_values_alone_claim_no_trust(tmp_path):
    folder = write(tmp_path, Fake(**SMALL, traces={"base": ("soft.coefficient",)}))
    html = write_report(folder).read_text()
    assert not section(html, "trust") and section(html, "recorded")


def test_several_stages_and_objectives_have_figures_of_their_own(tmp_path):
    stages = (*SMALL["stages"], "ann")
    both = weights("sig", "gaf") + weights("sig", "pi", objective="maps")
    fake = Fake(**SMALL | {"stages": stages}, traces={"base": both, "ann": weights("gaf")})
    html = section(write_report(write(tmp_path, fake)).read_text(), "trust")
    titles = re.findall(r'<p class="title">([^<]*)</p>', html)
    assert titles == [f"{name}: {kind}" for name in ("base, soft", "base, maps", "ann, soft")
                      for kind in ("over epochs", "by class, last epoch")]  # fmt: skip
    assert captions(html)[4:] == [
        "gaf is the only teacher: 1.00 on average in the last epoch, as in the first.",
        "gaf counted the same for every class.",
    ]


def test_one_run_and_one_epoch(tmp_path):
    fake = Fake(**SMALL | {"epochs": 1}, classes=GENEACTIV, seeds=(0,), folds=("fold-1",),
                traces={"base": weights("sig", "pi")})  # fmt: skip
    folder = write(tmp_path, fake)
    html = section(write_report(folder).read_text(), "trust")
    assert "1 run" in texts(html) and "in the first" not in html
    rows = tables(html)[0]
    assert len(rows) == 2 and all(row["lowest"] == row["highest"] for row in rows)
    assert "folding &lt;laundry&gt;" in html and "<laundry>" not in html
    assert "folding <laundry>" in {r["class"] for r in tables(html)[1]}


@pytest.mark.parametrize("content", [b"", b"PK", b"damaged" * 40])
def test_damaged_traces_cost_their_panel_alone(tmp_path, content):
    fake = Fake(**SMALL, traces={"base": (*weights("sig", "pi", "gaf"), "hint.gap")})
    folder = write(tmp_path, fake)
    path = next(folder.glob("*/base/*/metrics.jsonl")).with_name("traces.npz")
    path.write_bytes(content)
    html = write_report(folder).read_text()
    assert not section(html, "trust") and section(html, "recorded") and section(html, "results")
    (note,) = re.findall(r"[^<>]*traces\.npz[^<>]*", section(html, "holes"))
    assert note.startswith(f"{path}: not a file of traces (")
    assert note.endswith("); what needs this file is not shown.")


def test_six_teachers_have_six_colours_and_labels_that_do_not_touch(tmp_path):
    names = ("sig", "pi", "gaf", "audio", "skeleton", "radar_range_doppler")
    fake = Fake(**SMALL, traces={"base": weights(*names)})
    experiment = read_experiment(write(tmp_path, fake))
    (found,) = trusts(experiment)
    look = looks(names)
    assert [colour for colour, _ in look.values()] == list(SERIES)
    svg = over_epochs(found, look, "a").svg
    assert all(colour in svg for colour in SERIES)
    heights = sorted(
        float(re.search(rf'<text[^>]*y="([\d.]+)"[^>]*>{short} 0\.\d\d</text>', svg).group(1))
        for short in ("sig", "pi", "gaf", "audio", "skeleton", "radar_range…")
    )
    assert all(b - a > 11 for a, b in pairwise(heights))
    cells = by_class(found, look, "b")
    assert "radar_range_d…" in texts(cells.svg) and cells.width <= 512


def test_from_the_seventh_teacher_on_lines_are_dashed():
    found = looks(f"t{i}" for i in range(8))
    assert found["t6"][0] == found["t0"][0] and found["t6"][1] != found["t0"][1]
    assert len(set(found.values())) == 8


def test_a_hundred_classes_show_the_two_ends(tmp_path):
    classes = tuple(f"class number {i:02d} & a long name of it" for i in range(100))
    fake = Fake(**SMALL | {"trained": 2000, "windows": 60}, classes=classes, untrained=(classes[3],),
                traces={"base": weights("sig", "pi")})  # fmt: skip
    (found,) = trusts(read_experiment(write(tmp_path, fake)))
    drawing = by_class(found, looks(found.teachers), "many")
    leader = found.by_class[:, found.leader]
    ranked = sorted((c for c in range(100) if c != 3), key=lambda c: -leader[c])
    assert classes_shown(found) == [*ranked[:10], None, *ranked[-10:]]
    named = [text for text in texts(drawing.svg) if text.startswith("class number")]
    assert [int(text[13:15]) for text in named] == [*ranked[:10], *ranked[-10:]]
    assert "79 classes between" in texts(drawing.svg)
    assert len(list(csv.reader(io.StringIO(drawing.data)))) == 1 + 100 * 2
    assert "No weights were recorded for class number 03 & a long name of it." in words.by_class(
        found
    )
    assert "more classes" in words.by_class(found)


def test_ties_are_called_ties():
    found = trust([0.501, 0.499], [[0.5, 0.5], [0.5, 0.5]], top=[0.5, 0.5], first=[0.5, 0.5])
    assert words.over_epochs(found) == (
        "t0 and t1 were trusted alike: 0.50 on average in the last epoch each. "
        "Top teacher of single samples, last epoch: t0 50.0 %, t1 50.0 %."
    )
    assert words.by_class(found) == "t0 counted the same for every class."
    found = trust([0.4, 0.4, 0.2], [[0.3, 0.5, 0.2], [0.5, 0.3, 0.2]])
    assert words.over_epochs(found) == (
        "t0 and t1 were trusted most: 0.40 on average in the last epoch each. Then comes t2 (0.20)."
    )
    assert "Another teacher came first for a (t1, 0.50)." in words.by_class(found)


def test_what_is_not_finite_is_not_spoken_of():
    nothing = float("nan")
    assert "No finite weight" in words.over_epochs(trust([nothing], [[nothing], [nothing]]))
    found = trust([0.7, nothing], [[0.7, nothing], [nothing, nothing]], first=[nothing, 0.5], runs=3,
                  top=[0.9, 0.1])  # fmt: skip
    assert words.over_epochs(found) == (
        "t0 was trusted most: 0.70 on average in the last epoch. Top teacher of single samples, "
        "last epoch, 1 of 3 runs: t0 90.0 %, t1 10.0 %."
    )
    assert words.by_class(found) == (
        "t0 counted the same for every class. No weights were recorded for b."
    )
    assert "–" in texts(by_class(found, {}, "x").svg) and over_epochs(found, {}, "y").svg


@pytest.mark.parametrize("seed", range(20))
def test_labels_are_moved_apart_inside_the_panel(seed):
    random = np.random.default_rng(seed)
    values = list(random.uniform(0, 1, 6) ** 3)
    placed = apart(values, 0.07, 0.0, 1.0)
    assert [sorted(values).index(v) for v in values] == [sorted(placed).index(p) for p in placed]
    assert min(placed) >= -1e-12 and max(placed) <= 1 + 1e-12
    assert all(b - a > 0.07 - 1e-9 for a, b in pairwise(sorted(placed)))


def test_a_real_experiment_shows_the_weights_it_trained_with(tmp_path):
    def change(content):
        content["stages"] = {
            "sig": {},
            "gaf": {"input": "gaf"},
            "alone": {},
            "base": {"teachers": ["sig", "gaf"]},
        }
        content["distiller"]["soft"]["weighting"] = {"type": "tests.report.tilted.Tilted"}

    folder = execute(tmp_path, recipe(change))
    html = section(write_report(folder).read_text(), "trust")
    cells = {(row["teacher"], row["class"]): row for row in tables(html)[1]}
    names = read_experiment(folder).class_names
    for name, weight in zip(names, FIRST, strict=True):
        assert float(cells["sig", name]["mean_in_last_epoch"]) == pytest.approx(weight)
        assert float(cells["gaf", name]["mean_in_last_epoch"]) == pytest.approx(1 - weight)
    said = " ".join(captions(html))
    leader, most, least = ("sig", 0, 2) if said.startswith("sig") else ("gaf", 2, 0)
    assert (
        f"{leader} was trusted most for {names[most]} (0.80), least for {names[least]} (0.20)."
        in said
    )
