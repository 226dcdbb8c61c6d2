"""Explanations read back: whatever contradicts itself, or the predictions, is refused with one sentence."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.report.explaining import NAMES, add_concepts
from tests.report.fake import Fake, write
from tutelage.errors import UserError
from tutelage.report.panels.explanations.accounts import PARTS, label_of, probabilities
from tutelage.report.panels.explanations.data import explained_stages, speaking, unnamed
from tutelage.runs.ledger import read_experiment

SMALL = {"windows": 20, "epochs": 2, "stages": ("sig", "alone", "annsp"), "seeds": (0, 1)}
STREAMS = {"global": (1,), "spatial": (16,)}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("concepts"), Fake(**SMALL))
    return add_concepts(folder, streams=STREAMS, annotated=("spatial",))


@pytest.fixture
def folder(whole, tmp_path):
    return Path(shutil.copytree(whole, tmp_path / "copy"))


def place_of(folder):
    return next(folder.glob("fold-1/annsp/seed-0-*"))


def read(folder):
    (run,) = [
        one for one in read_experiment(folder).of("annsp") if (one.fold, one.seed) == ("fold-1", 0)
    ]
    return run.explanations()


def arrays(folder):
    with np.load(place_of(folder) / "explanations.npz") as stored:
        return {name: stored[name] for name in stored.files}


def change(folder, **changed):
    """Write the file anew with some arrays replaced; None takes one away."""
    found = arrays(folder) | changed
    kept = {name: values for name, values in found.items() if values is not None}
    np.savez(place_of(folder) / "explanations.npz", **kept)


def refused(folder, match):
    with pytest.raises(UserError, match=match) as caught:
        read(folder)
    assert "\n" not in str(caught.value) and "explanations.npz" in str(caught.value)


def test_it_is_read_as_it_was_written(folder):
    found, stored = read(folder), arrays(folder)
    assert found.scored == 40 and found.redrawn == 0.0
    assert list(found.streams) == ["global", "spatial"]
    for name, stream in found.streams.items():
        assert stream.names == NAMES and stream.space == STREAMS[name]
        for key in ("concepts", "contributions", "without", "gallery", "use"):
            np.testing.assert_array_equal(getattr(stream, key), stored[f"{name}.{key}"])
    assert found.streams["global"].heat is None and found.streams["global"].annotated is None
    assert set(found.inputs) == set(stored["input_index"].tolist())
    at = int(stored["input_index"][3])
    np.testing.assert_array_equal(found.inputs[at], stored["inputs"][3])


def test_no_file_is_no_explanation(folder):
    (place_of(folder) / "explanations.npz").unlink()
    assert read(folder) is None


def test_an_account_by_a_plain_loop(folder):
    stored = arrays(folder)
    one = next(one for one in explained_stages(read_experiment(folder)) if one.name == "annsp")
    for i, account in enumerate(one.first.accounts):
        every = []
        for stream in STREAMS:
            for k, concept in enumerate(stored[f"{stream}.concepts"][i]):
                added = stored[f"{stream}.contributions"][i, k].sum(axis=0, dtype=np.float64)
                every.append((abs(added[0] - added[1]), f"{NAMES[concept]} ({stream})", added))
        every.sort(key=lambda item: -item[0])
        assert [part.label for part in account.parts] == [name for _, name, _ in every[:PARTS]]
        rest = sum((added for *_, added in every[PARTS:]), start=np.zeros(2))
        others = stored["global.others"][i] + stored["spatial.others"][i] + rest
        np.testing.assert_allclose(account.others, others, atol=1e-6)
        assert account.many == 2 * len(NAMES) - PARTS
        assert account.gap < 1e-4 and account.broken < 1e-4
        assert account.right == (account.first == account.label)


def test_speaking_joins_the_streams(folder):
    found, stored = read(folder), arrays(folder)
    for label in range(6):
        pairs = []
        for stream in STREAMS:
            for concept, value in zip(
                stored[f"{stream}.speaking"][label],
                stored[f"{stream}.by_class"][label],
                strict=True,
            ):
                pairs.append((label_of(found, stream, concept), float(value)))
        assert speaking(found, label) == sorted(pairs, key=lambda pair: -abs(pair[1]))[:5]


def test_probabilities_and_names():
    np.testing.assert_allclose(probabilities(np.array([1000.0, 1000.0])), [0.5, 0.5])


def test_a_name_that_nobody_gave(folder):
    found = read(folder)
    assert not unnamed(found.streams["global"])


@pytest.mark.parametrize("content", [b"", b"PK", b"\x93NUMPY"])
def test_a_damaged_file(folder, content):
    (place_of(folder) / "explanations.npz").write_bytes(content)
    refused(folder, "not a file of explanations")


def test_objects_are_not_unpickled(folder):
    change(folder, index=np.array([{}], dtype=object))
    refused(folder, "not a file of explanations")


def test_facts_that_are_missing_or_no_facts(folder):
    change(folder, facts=None)
    refused(folder, "not a file of explanations")
    change(folder, facts=np.frombuffer(b"{", np.uint8))
    refused(folder, "facts")
    facts = json.loads(arrays_of_facts())
    change(folder, facts=np.frombuffer(json.dumps(facts | {"scored": "many"}).encode(), np.uint8))
    refused(folder, "scored")
    facts["streams"]["spatial"]["space"] = [0]
    change(folder, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8))
    refused(folder, "no concepts or no places")


def arrays_of_facts():
    return json.dumps(
        {"streams": {k: {"names": NAMES, "space": v} for k, v in STREAMS.items()}, "scored": 40}
    )


@pytest.mark.parametrize(
    "name", ["logits", "inputs", "spatial.heat", "global.without", "spatial.use"]
)
def test_an_array_that_is_missing(folder, name):
    change(folder, **{name: None})
    refused(folder, f"{name} is missing")


@pytest.mark.parametrize(
    ("name", "cut"),
    [
        ("labels", np.s_[1:]),
        ("logits", np.s_[:, 1:]),
        ("rest", np.s_[:, :1]),
        ("spatial.contributions", np.s_[:, :, 1:]),
        ("spatial.without", np.s_[:, 1:]),
        ("spatial.attention", np.s_[..., None]),
        ("global.others", np.s_[1:]),
        ("global.use", np.s_[1:]),
        ("global.gallery_labels", np.s_[:, 1:]),
        ("spatial.heat", np.s_[:, :, 1:]),
        ("spatial.annotated", np.s_[:, :, :3]),
        ("inputs", np.s_[1:]),
    ],
)
def test_an_array_of_another_shape(folder, name, cut):
    change(folder, **{name: arrays(folder)[name][cut]})
    refused(folder, r"is \(.*\), expected \(.*\)")


def test_numbers_of_another_kind_or_range(folder):
    found = arrays(folder)
    for name, value, said in (
        ("spatial.concepts", len(NAMES), "must lie between 0 and 9"),
        ("labels", 6, "must lie between 0 and 5"),
        ("spatial.speaking", -1, "must lie between 0 and 9"),
        ("logits", np.nan, "a value of logits is not finite"),
        ("spatial.without", np.inf, "a value of spatial.without is not finite"),
        ("spatial.annotated", np.inf, "a value of spatial.annotated is not finite"),
    ):
        wrong = found[name].copy()
        wrong.flat[0] = value
        change(folder, **{name: wrong})
        refused(folder, said)
        change(folder, **{name: found[name]})
    change(folder, **{"spatial.concepts": found["spatial.concepts"].astype(float)})
    refused(folder, "spatial.concepts holds float64")


def test_a_prediction_is_the_highest_score_and_its_rival_another_class(folder):
    found = arrays(folder)
    change(folder, classes=found["classes"][:, ::-1])
    refused(folder, "not the one with its highest score")
    same = found["classes"].copy()
    same[:, 1] = same[:, 0]
    change(folder, classes=same)
    refused(folder, "rival")


def test_every_sample_has_an_input(folder):
    found = arrays(folder)
    change(folder, input_index=found["input_index"] + 5000)
    refused(folder, "has no input")


def test_other_labels_or_scores_than_the_predictions(folder):
    found = arrays(folder)
    change(folder, index=found["index"][::-1])
    refused(folder, "predictions-validation.npz has class")
    change(folder, index=found["index"] + 70000, input_index=found["input_index"] + 70000,
           **{f"{s}.gallery": found[f"{s}.gallery"] + 70000 for s in STREAMS})  # fmt: skip
    refused(folder, "has no such sample")
    change(folder, index=found["index"], input_index=found["input_index"], logits=found["logits"] + 9,
           **{f"{s}.gallery": found[f"{s}.gallery"] for s in STREAMS})  # fmt: skip
    refused(folder, "the scores of a sample differ by 9 from those in predictions-validation.npz")
