"""Every weighting over teachers and every objective on several of them, in whole experiments of seconds."""

import json

import numpy as np
import pytest

from tests.training.small import recipe
from tests.training.test_runs import execute, runs_of

THREE = {"teachers": ["sig", "pi", "gaf"]}
SOFT = {"type": "PerTeacher", "term": {"type": "SoftTargets", "temperature": 4}}
MIX = {"sig": 0.4, "pi": 0.3, "gaf": 0.3}
OBJECTIVES = {
    "ebkd": {**SOFT, "weighting": {"type": "Entropy"}},
    "ca": {**SOFT, "weighting": {"type": "Confidence"}},
    "ae": {**SOFT, "weighting": {"type": "GradientSpace"}},
    "gap": {**SOFT, "weighting": {"type": "AccuracyGap"}},
    "hints": {
        "type": "PerTeacher",
        "term": {"type": "Hint", "active": False},
        "weighting": {"type": "GradientSpace", "at": "stage2", "normalise": True},
    },
    "features": {"type": "ConfidentFeatures", "active": False},
    "tpkd": {"type": "OrthogonalFeatures", "weights": MIX},
    "policy": {"type": "PolicyWeighted", "width": 8, "active": False},
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    def change(content):
        content["distiller"] = {"labels": {"type": "Labels", "coefficient": 0.5}}
        del content["stages"]["base"], content["stages"]["annsp"]
        for name, objective in OBJECTIVES.items():
            content["stages"][name] = {**THREE, "distiller": {"it": objective}}
        content["stages"]["live"] = {
            **THREE,
            "distiller": {"it": OBJECTIVES["features"]},
            "train": {"teachers": "live"},
        }

    tmp_path = tmp_path_factory.mktemp("finished")
    return runs_of(execute(tmp_path, recipe(change)))


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stage", OBJECTIVES)
def test_it_trains_and_records_its_weights(finished, stage):
    folder = finished[stage, 0]
    assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    for epoch, row in enumerate(rows(folder)):
        assert np.isfinite(row["train"]["it"])
        if stage == "tpkd":
            continue
        shares = [row["traces"][f"it.weight.{name}"]["mean"] for name in MIX]
        # The policy has nothing to say in the first epoch: then every teacher counts in full.
        assert sum(shares) == pytest.approx(3 if stage == "policy" and not epoch else 1, abs=1e-5)


def test_the_gap_weights_follow_validation(finished):
    first, second = rows(finished["gap", 0])
    even = [first["traces"][f"it.weight.{name}"]["mean"] for name in MIX]
    assert even == pytest.approx([1 / 3] * 3, abs=1e-6)
    student = first["validation"]["accuracy"]
    gaps = []
    for name in MIX:
        log = rows(finished[name, 0])
        teacher = max(row["validation"]["accuracy"] for row in log)
        gaps.append(min(1.0, max(0.0, (teacher - student) / (0.7 * teacher))))
    expected = [g / sum(gaps) for g in gaps] if sum(gaps) else [1 / 3] * 3
    found = [second["traces"][f"it.weight.{name}"]["mean"] for name in MIX]
    assert found == pytest.approx(expected, abs=1e-4)


def test_cached_and_live_teachers_are_the_same_to_confident_features(finished):
    cached, live = (rows(finished[stage, 0]) for stage in ("features", "live"))
    for a, b in zip(cached, live, strict=True):
        assert a["train"]["it"] == pytest.approx(b["train"]["it"], rel=1e-4)


def test_the_export_is_the_student_alone(finished):
    parameters = {
        json.loads((finished[stage, 0] / "run.json").read_text())["network"]["parameters"]
        for stage in (*OBJECTIVES, "alone")
    }
    assert len(parameters) == 1
