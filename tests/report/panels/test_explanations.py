"""Concepts, sample by sample: every number and every sentence is what the file, or the network, says."""

import csv
import html as escaping
import io
import json
import re
from types import SimpleNamespace
from urllib.parse import unquote

import numpy as np
import pytest

from tests.report.explaining import NAMES, add_concepts
from tests.report.fake import HAPT, Fake, example_window, write
from tests.report.panels.test_trust import captions, section, tables
from tests.report.test_page import Page
from tutelage.report import page, write_report
from tutelage.report.context import ReportContext
from tutelage.report.drawing.sheet import SignalAxis
from tutelage.report.headline import headline
from tutelage.report.panels import sections
from tutelage.report.panels.explanations import tables as concept_tables
from tutelage.report.panels.explanations import words
from tutelage.report.panels.explanations.accounts import ConceptPart, probabilities
from tutelage.report.panels.explanations.data import ExplainedRun, ExplainedStage, explained_stages
from tutelage.report.panels.explanations.figures import painted
from tutelage.report.panels.explanations.icon import icon
from tutelage.report.wording import signed
from tutelage.runs.ledger import read_experiment

SMALL = {
    "windows": 20,
    "epochs": 2,
    "stages": ("sig", "pi", "gaf", "alone", "annsp"),
    "seeds": (0, 1),
}
TWO = {"global": (1,), "spatial": (16,)}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("concepts"), Fake(**SMALL))
    add_concepts(folder, streams=TWO, annotated=("spatial",))
    return folder, write_report(folder, example=example_window()).read_text()


def only(folder):
    """Return the section alone: the rest of the page takes longer to draw."""
    experiment = read_experiment(folder)
    context = ReportContext(experiment)
    found = page.Page(experiment, headline(context), sections(context, ["explanations"]))
    return section(page.render(found), "concepts")


def shown(tmp_path, fake=None, stages=("annsp",), **options):
    folder = write(tmp_path, fake or Fake(**SMALL | {"seeds": (0,)}))
    for stage in stages:
        add_concepts(folder, stage, **{"each": 1} | options)
    return folder, only(folder)


def stored(folder):
    with np.load(next(folder.glob("fold-1/annsp/seed-0-*")) / "explanations.npz") as content:
        return {name: content[name] for name in content.files}


def panels(html):
    return re.findall(
        r'<div class="panel">(.*?)</div>\s*(?=<input|</div>\s*<p class="caption">)', html, re.S
    )


def told(panel):
    found = re.findall(r'<p class="told">([^<]*)</p>', panel)
    return [escaping.unescape(text).replace("\u00a0", " ") for text in found]


def parts(panel):
    """Return the table of a panel by concept."""
    links = re.findall(
        r'download="[^"]*-parts.csv" href="data:text/csv;charset=utf-8,([^"]*)"', panel
    )
    return list(csv.DictReader(io.StringIO(unquote(links[0]))))


def account(folder):
    (found,) = explained_stages(read_experiment(folder))
    return found


def test_a_page_without_such_networks_has_no_such_section(tmp_path):
    html = write_report(write(tmp_path, Fake(**SMALL))).read_text()
    assert not section(html, "concepts") and "choose" not in re.sub(
        r"<style>.*?</style>", "", html, flags=re.S
    )


def test_the_section_is_linked_sound_and_needs_no_server(made):
    html = made[1]
    whole = Page(html)
    assert "#concepts" in whole.links and "concepts" in whole.ids
    assert len(whole.ids) == len(set(whole.ids)) and not whole.wrong and not whole.open
    assert not [link for link in whole.links if not link.startswith(("#", "data:"))]
    assert "<script" not in html and "http" not in section(html, "concepts")


def test_one_sample_is_chosen_and_every_other_can_be(made):
    html = section(made[1], "concepts")
    radios = re.findall(r'<input type="radio" name="([^"]*)" id="([^"]*)"( checked)?>', html)
    assert len(radios) == 12 and {name for name, _, _ in radios} == {"concepts-1"}
    assert [bool(checked) for *_, checked in radios] == [True] + [False] * 11
    labels = re.findall(r'<label for="([^"]*)"', html)
    assert labels == [number for _, number, _ in radios]
    # The rule that shows a panel needs exactly this order, and no script.
    assert (
        len(
            re.findall(
                r'<input type="radio"[^>]*>\s*<label[^>]*>.*?</label>\s*<div class="panel">',
                html,
                re.S,
            )
        )
        == 12
    )
    assert ".choose > input:checked + label + .panel { display: block; }" in made[1]


def test_the_columns_of_a_sample_sum_up_to_its_scores(made):
    folder, html = made
    found = stored(folder)
    for i, panel in enumerate(panels(section(html, "concepts"))):
        rows = parts(panel)
        scores = found["logits"][i][found["classes"][i]]
        assert [float(rows[-1][k]) for k in ("to_prediction", "to_rival")] == pytest.approx(
            scores, rel=1e-5
        )
        for k, score in zip(("to_prediction", "to_rival"), scores, strict=True):
            assert sum(float(row[k]) for row in rows[:-1]) == pytest.approx(score, abs=1e-4)


def test_what_happens_without_a_concept_is_what_the_file_says(made):
    folder, html = made
    found = stored(folder)
    named = {
        (i, f"{NAMES[c]} ({stream})"): (stream, k)
        for stream in TWO
        for (i, k), c in np.ndenumerate(found[f"{stream}.concepts"])
    }
    for i, panel in enumerate(panels(section(html, "concepts"))):
        first = found["classes"][i, 0]
        rows = parts(panel)[:-3]
        assert len(rows) == 8 and len({row["concept"] for row in rows}) == 8
        for row in rows:
            stream, k = named[i, row["concept"]]
            left = found[f"{stream}.without"][i, k]
            assert float(row["score_without"]) == pytest.approx(left[first], rel=1e-5)
            assert float(row["probability_without"]) == pytest.approx(
                probabilities(left)[first], abs=1e-6
            )
            assert row["then"] == HAPT[left.argmax()]
            added = found[f"{stream}.contributions"][i, k].sum(axis=0)
            assert [float(row["to_prediction"]), float(row["to_rival"])] == pytest.approx(
                added, abs=1e-5
            )


def test_the_strongest_stand_first(made):
    for panel in panels(section(made[1], "concepts")):
        moved = [
            abs(float(row["to_prediction"]) - float(row["to_rival"])) for row in parts(panel)[:-3]
        ]
        assert moved == sorted(moved, reverse=True)


def test_the_sentences_say_what_the_file_says(made):
    folder, html = made
    for one, panel in zip(
        account(folder).first.accounts, panels(section(html, "concepts")), strict=True
    ):
        said = told(panel)
        p = probabilities(one.logits)
        first, rival = HAPT[one.first], HAPT[one.rival]
        word = "right. Next" if one.right else "wrong. True"
        assert said[0] == (
            f"Predicted: {first}, {100 * p[one.first]:.0f} %, which is {word}: {rival}, "
            f"{100 * p[one.rival]:.0f} %."
        )
        best = max(one.parts, key=lambda part: part.total)
        added = [signed(value, 2) for value in best.added]
        assert said[1].startswith(
            f"“{best.label}” did most for that, by {best.total:.2f}: {added[0]} to the score of {first}, "
            f"{added[1]} to that of {rival}"
        )
        assert ("most at" in said[1]) == (best.stream == "spatial")
        after = probabilities(best.without)
        now = int(best.without.argmax())
        end = "the prediction stays" if now == one.first else f"{HAPT[now]} is predicted"
        assert (
            said[1].endswith(f"to {100 * after[one.first]:.0f} %, and {end}.")
            or "stays at" in said[1]
        )


def test_places_are_times_of_the_window(made):
    folder, html = made
    rows = [row for panel in panels(section(html, "concepts")) for row in parts(panel)[:-3]]
    times = [row["where"] for row in rows if "(spatial)" in row["concept"]]
    assert times and all(re.fullmatch(r"\d\.\d\d to \d\.\d\d s", text) for text in times)
    assert {row["where"] for row in rows if "(global)" in row["concept"]} == {"the whole input"}
    found = stored(folder)
    (one, *_) = account(folder).first.accounts
    part = next(part for part in one.parts if part.stream == "spatial")
    k = list(found["spatial.concepts"][0]).index(NAMES.index(part.name))
    moved = found["spatial.contributions"][0, k, :, 0] - found["spatial.contributions"][0, k, :, 1]
    assert part.strongest == int(np.argmax(moved * np.sign(moved.sum())))
    at = part.strongest * 128 / 16 / 50
    assert f"{at:.2f} to {at + 0.16:.2f} s" in times


def test_the_data_of_the_figure_are_the_places(made):
    folder, html = made
    (panel, *_) = panels(section(html, "concepts"))
    link = re.search(
        r'download="concepts-1-1-moved.csv" href="data:text/csv;charset=utf-8,([^"]*)"', panel
    )
    rows = list(csv.DictReader(io.StringIO(unquote(link.group(1)))))
    (one, *_) = account(folder).first.accounts
    for part in one.parts:
        mine = [float(row["to_prediction_minus_to_rival"]) for row in rows
                if (row["stream"], row["concept"]) == (part.stream, part.name)]  # fmt: skip
        assert mine == pytest.approx(part.moved, abs=1e-5)


def test_annotations_are_compared_with_what_moved(made):
    folder, html = made
    found = account(folder)
    whole = inside = 0.0
    for one, panel in zip(found.first.accounts, panels(section(html, "concepts")), strict=True):
        rows = {row["concept"]: row["annotated"] for row in parts(panel)[:-3]}
        for part in one.parts:
            if part.annotated is None or np.isnan(part.annotated).all():
                assert rows[part.label] == ""
                continue
            forward = np.maximum(part.moved * np.sign(part.total), 0)
            share = forward[part.annotated > 0].sum() / forward.sum()
            whole, inside = whole + forward.sum(), inside + forward[part.annotated > 0].sum()
            assert (
                rows[part.label] == "no"
                if not (part.annotated > 0).any()
                else float(rows[part.label]) == pytest.approx(share)
            )
    assert (
        f"Of what concepts moved in these samples {100 * inside / whole:.0f} % lies at places"
        in html
    )


@pytest.mark.parametrize(("share", "tone"), [(1.0, "bad"), (0.04, "quiet"), (-1.0, "quiet")])
def test_a_concept_that_is_not_there_is_called_where_it_counts(share, tone):
    added = np.array([share, 0.0])
    part = ConceptPart("spatial", "wing", "wing", (1,), added, added[:1], np.zeros(2), np.zeros(1))
    assert concept_tables._annotated(part, concept_tables.CALLED).tone == tone


def test_a_claim_that_does_not_hold_is_called_so(tmp_path):
    _, html = shown(tmp_path, lie=0.2)
    assert "does NOT fall by what it claims to add: it is off by up to 0.20." in html
    folder, html = shown(tmp_path / "sum")
    assert "does NOT" not in html and "NOT sum up" not in html
    path = next(folder.glob("fold-1/annsp/seed-0-*")) / "explanations.npz"
    content = stored(folder)
    content["rest"] = content["rest"] + 0.5
    np.savez(path, **content)
    assert "The rows do NOT sum up to the scores: they are off by up to 0.50" in only(folder)


def test_faithfulness_is_a_mean_over_runs(made):
    folder, html = made
    shows = section(html, "concepts")
    (rows,) = [table for table in tables(shows) if table and "ablation_error" in table[0]]
    found = account(folder)
    assert rows[0]["n"] == "4" and float(rows[0]["turned"]) == pytest.approx(0.4)
    assert float(rows[0]["additivity_error"]) == max(found.values("additivity_error").values())
    assert float(rows[0]["concept_accuracy_spatial"]) == pytest.approx(0.9)
    (rows,) = [t for t in tables(shows) if t and t[0].get("measure") == "deletion"]
    measures = ["deletion", "concept_deletion", "insertion", "concept_insertion"]
    assert [row["measure"] for row in rows] == measures
    for row in rows:
        values = found.values(f"{row['measure']}.contribution").values()
        assert float(row["contribution"]) == pytest.approx(np.mean(list(values)))
    (rows,) = [t for t in tables(shows) if t and t[0].get("measure") == "unexplained"]
    assert [row["measure"] for row in rows] == ["unexplained", "max_sensitivity", "sparseness"]
    assert [float(rows[0][name]) for name in ("contribution", "attention", "random")] == [
        0.25,
        0.5,
        0.75,
    ]
    assert "25.0" in shows and float(rows[1]["contribution"]) == 0.125
    assert not rows[1]["random"] and not rows[2]["random"]
    stage = found.name
    assert (
        f"Places put in: the probability rises no faster than in random order in {stage}." in html
    )
    assert (
        f"Concepts taken away: the probability falls faster than in random order in {stage}."
        in html
    )
    assert (folder / "report" / "tables" / "faithfulness.csv").is_file()


def measured(gains, **more):
    """A stage with one measure of each run; its explanations have one stream."""
    streams = {"spatial": SimpleNamespace(names=NAMES)}
    first = ExplainedRun(None, SimpleNamespace(streams=streams))
    return ExplainedStage("cct", first, {
        ("fold-1", seed): {"gain.deletion": gain, "samples": 64.0, **more} for seed, gain in enumerate(gains)
    })  # fmt: skip


@pytest.mark.parametrize(
    ("gains", "error", "low", "verdict"),
    [
        ([0.016], 0.010, 0.016 - 1.99834 * 0.010, "no faster than in random order in cct"),
        ([0.016], 0.005, 0.016 - 1.99834 * 0.005, "faster than in random order in cct"),
        (
            [0.01, 0.02, 0.03],
            0.001,
            0.02 - 4.30265 * 0.01 / 3**0.5,
            "no faster than in random order in cct",
        ),
        (
            [0.05, 0.06, 0.07],
            0.001,
            0.06 - 4.30265 * 0.01 / 3**0.5,
            "faster than in random order in cct",
        ),
    ],
)
def test_an_order_beats_chance_only_with_its_interval(gains, error, low, verdict):
    stage = measured(gains, **{"gain_error.deletion": error})
    assert stage.gain("deletion").mean == pytest.approx(np.mean(gains))
    assert stage.gain("deletion").interval.low == pytest.approx(low, abs=1e-5)
    assert words.areas([stage]) == [f"Places taken away: the probability falls {verdict}."]


def test_one_random_order_of_one_run_tells_nothing():
    areas = {"deletion.contribution": 0.779, "deletion.random": 0.795, "samples": 64.0}
    stage = ExplainedStage("cct", None, {("fold-1", 0): areas})
    assert stage.gain("deletion").mean == pytest.approx(0.016)
    assert words.areas([stage]) == [
        "Places taken away: one random order in so few runs cannot tell for cct."
    ]


@pytest.mark.parametrize(
    ("moved", "said"),
    [
        ([0.25, 0.25, 0.25, 0.25], "spread evenly"),
        ([0.37, 0.21, 0.21, 0.21], "spread evenly"),
        ([0.10, 0.40, 0.25, 0.25], "row 1, column 2"),
    ],
)
def test_evidence_that_is_spread_evenly_has_no_place(moved, said):
    added = np.array([1.0, 0.0])
    part = ConceptPart("spatial", "wing", "wing", (2, 2), added, np.array(moved), np.zeros(2))
    assert words.where(part, (3, 8, 8), SignalAxis()) == said
    assert part.even is (said == "spread evenly")


def test_concepts_that_are_right_as_often_as_by_chance_are_a_finding(tmp_path):
    by_chance = {"concept_accuracy.spatial": 0.047, "concept_chance.spatial": 0.05}
    assert words.findings([measured([0.0], **by_chance)]) == (
        "cct: the spatial concept that is attended to most is an annotated one in 4.7 % of all cases; by chance "
        "it would be in 5.0 %. The names of these concepts say nothing about what the network looks at.",
    )
    # 0.05 + 2 * sqrt(0.05 * 0.95 / 64) = 0.1045
    for right, odd in ((0.104, 1), (0.105, 0)):
        stage = measured([0.0], **by_chance | {"concept_accuracy.spatial": right})
        assert len(words.findings([stage])) == odd


def test_such_a_finding_stands_among_the_findings(tmp_path):
    folder = write(tmp_path, Fake(**SMALL | {"seeds": (0,)}))
    add_concepts(folder, each=1, annotated=("spatial",))
    for path in folder.glob("*/annsp/*/explanations.npz"):
        with np.load(path) as content:
            arrays = dict(content)
        facts = json.loads(arrays["facts"].tobytes())
        facts["measured"]["concept_accuracy"] = {"spatial": 0.1}
        arrays["facts"] = np.frombuffer(json.dumps(facts).encode(), np.uint8)
        np.savez(path, **arrays)
    built = sections(ReportContext(read_experiment(folder)), ["explanations", "holes"])
    assert "is an annotated one in 10.0 % of all cases" in built[1].notes[-1] and not built[1].empty


def test_galleries_have_the_samples_of_the_file(made):
    folder, html = made
    found = stored(folder)
    for stream in TWO:
        (rows,) = [
            t
            for t in tables(section(html, "concepts"))
            if t and "rank" in t[0] and t[0]["stream"] == stream
        ]
        for row in rows:
            k = list(found[f"{stream}.shown"]).index(NAMES.index(row["concept"]))
            at = k, int(row["rank"]) - 1
            assert int(row["sample"]) == found[f"{stream}.gallery"][at]
            assert row["class"] == HAPT[found[f"{stream}.gallery_labels"][at]]


def test_concepts_of_a_class_are_those_of_the_file(made):
    folder, html = made
    found = stored(folder)
    (rows,) = [t for t in tables(section(html, "concepts")) if t and "concept_1" in t[0]]
    for c, row in enumerate(rows):
        pairs = [(f"{NAMES[k]} ({s})", v) for s in TWO
                 for k, v in zip(found[f"{s}.speaking"][c], found[f"{s}.by_class"][c], strict=True)]  # fmt: skip
        best = sorted(pairs, key=lambda one: -abs(one[1]))[:5]
        assert [row[f"concept_{i + 1}"] for i in range(5)] == [
            f"{name}: {value:.6g}" for name, value in best
        ]


def test_images_have_maps_and_pictures(tmp_path):
    folder, html = shown(
        tmp_path, streams={"spatial": (4, 4)}, shape=(3, 32, 32), annotated=("spatial",)
    )
    assert "maps: the same place by place, 4 × 4 places" in html
    assert html.count('<img src="data:image/png;base64,') == 6
    rows = [row for panel in panels(html) for row in parts(panel)[:-3]]
    assert all(re.fullmatch(r"row [1-4], column [1-4]", row["where"]) for row in rows)
    (one, *_) = account(folder).first.accounts
    part = one.parts[0]
    picture = np.full((3, 32, 32), 128, np.uint8)
    pixels = painted(picture, part, float(np.abs(part.moved).max())).astype(int)
    row, column = divmod(int(np.abs(part.moved).argmax()), 4)
    block = pixels[8 * row : 8 * row + 8, 8 * column : 8 * column + 8]
    bluer = block[..., 2].mean() > block[..., 0].mean()
    assert bluer == (part.moved[4 * row + column] > 0)
    assert np.ptp(block.reshape(-1, 3), axis=0).max() == 0  # a place is of one colour


def test_a_vector_shows_what_it_was_made_from(tmp_path):
    _, html = shown(tmp_path, streams={"text": (1,)}, shape=(3, 32, 32), made=True)
    assert "The network reads a vector that was made from the image." in html
    assert "maps:" not in html and "where" not in parts(panels(html)[0])[0]
    assert "is not measured: the data do not annotate them." in html


def test_nameless_concepts_are_called_so(tmp_path):
    _, html = shown(tmp_path, names=tuple(f"concept {i + 1}" for i in range(5)))
    assert "Nobody named the concepts: concept 1 of another run is another one." in html
    assert "4 other concepts" not in html and len(parts(panels(html)[0])) == 7


def test_a_network_that_draws_at_random_is_called_so(tmp_path):
    folder = write(tmp_path, Fake(**SMALL))
    add_concepts(folder)
    place = next(folder.glob("fold-1/annsp/seed-0-*"))
    content = stored(folder)
    content["logits"] = content["logits"] + 2.0 * (np.arange(6) == content["classes"][:, :1])
    facts = (
        content["facts"]
        .tobytes()
        .replace(b'"stability": {"logits": 0.0', b'"stability": {"logits": 0.9')
    )
    np.savez(place / "explanations.npz", **content | {"facts": np.frombuffer(facts, np.uint8)})
    html = only(folder)
    assert (
        "The network draws at random when it predicts: its scores here and in its evaluation differ by up to 2.0."
        in html
    )


def test_the_best_is_open_and_the_fourth_is_not_drawn(tmp_path):
    stages = ("sig", "pi", "gaf", "alone", "base", "ann", "annsp")
    fake = Fake(
        **SMALL | {"stages": stages}, validation_skill={"annsp": 1.4, "ann": 0.8, "base": 0.7}
    )
    _, html = shown(tmp_path, fake, stages=("sig", "alone", "base", "ann", "annsp"), measured=False)
    titles = re.findall(r'<p class="title">([^<]*): why', html)
    assert titles == ["annsp", "sig", "alone"] and "Not drawn: base, ann;" in html
    assert html.index("annsp: why") < html.index("<details")
    assert "Area under the probability" not in html  # nothing was measured


def test_recommended_slots_are_drawn_first_and_the_page_says_so(tmp_path):
    stages = ("sig", "pi", "gaf", "alone", "base", "ann", "annsp")
    fake = Fake(
        **SMALL | {"stages": stages, "seeds": (0,)},
        validation_skill={"annsp": 1.4, "ann": 0.8, "base": 0.7},
    )
    folder = write(tmp_path, fake)
    for stage in ("alone", "base", "ann", "annsp"):
        add_concepts(folder, stage, each=1, measured=False)
    path = folder / "experiment.json"
    record = json.loads(path.read_text())
    slots = {"type": "ConceptTransformer"}
    guided = {"labels": {"type": "Labels"}, "explanation": {"type": "ConceptExplanation"}}
    for stage, network, objectives in (
        ("annsp", slots | {"source": "table"}, guided),
        ("alone", slots | {"source": "sampled"}, guided),
        ("base", slots | {"source": "bilevel"}, {"explanation": None}),
        ("ann", slots, guided),
    ):
        record["resolved"]["stages"][stage] |= {"network": network, "distiller": objectives}
    path.write_text(json.dumps(record))
    html = only(folder)
    assert re.findall(r'<p class="title">([^<]*): why', html) == ["ann", "base", "annsp"]
    assert html.index("ann: why") < html.index("<details") < html.index("base: why")
    assert (
        "Drawn first: ann. Its slots are the recommended ones" in html
        and "Not drawn: alone;" in html
    )


def test_many_classes_and_long_names_fit(tmp_path):
    classes = tuple(f"class number {i:02d} & a long name" for i in range(24))
    names = tuple(f"a body that is <long> and has a pattern of number {i}" for i in range(40))
    fake = Fake(**SMALL | {"windows": 150}, classes=classes)
    _, html = shown(tmp_path, fake, names=names, each=1)
    assert all(int(width) <= 1100 for width in re.findall(r"max-width:(\d+)px", html))
    assert "<summary>annsp: concepts that move a class most</summary>" in html
    assert "32 other concepts" in html and "<long>" not in html
    assert any("The 6 of 40 concepts that move classes most" in text for text in captions(html))


def test_a_damaged_file_costs_its_panel_alone(tmp_path):
    folder = write(tmp_path, Fake(**SMALL))
    add_concepts(folder)
    assert section(write_report(folder).read_text(), "concepts")
    path = next(folder.glob("fold-2/annsp/seed-1-*/explanations.npz"))
    path.write_bytes(b"PK")
    html = write_report(folder).read_text()
    assert not section(html, "concepts") and section(html, "results")
    (note,) = re.findall(r"[^<>]*explanations\.npz[^<>]*", section(html, "holes"))
    assert note.startswith(f"{path}: not a file of explanations (")
    assert note.endswith("); what needs this file is not shown.")


def test_the_report_is_the_same_twice(tmp_path):
    folder, first = shown(tmp_path, streams={"spatial": (4, 4)}, shape=(3, 8, 8))
    assert first == only(folder)


def test_an_icon_is_an_image_or_the_liveliest_channel():
    assert icon(np.zeros((3, 8, 8), np.uint8)).startswith('<img src="data:image/png;base64,')
    drawn = icon(np.stack([np.zeros(100), np.sin(np.arange(100))]))
    heights = [
        float(point.split(",")[1])
        for point in re.search(r'points="([^"]*)"', drawn).group(1).split()
    ]
    assert np.ptp(heights) > 30
