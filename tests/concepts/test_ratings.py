import csv
import math
from itertools import permutations

import numpy as np
import pytest

from tutelage.concepts import (
    Concept,
    ConceptSet,
    open_concepts,
    questions,
    read_ratings,
    summarise,
    write_questions,
)
from tutelage.concepts.ratings import Question, Rating, krippendorff
from tutelage.errors import UserError

SMALL = ConceptSet(
    "x",
    ("cat", "dog"),
    (Concept("four legs", ("cat", "dog")), Concept("green eyes", ("cat",))),
)


def table(raters, units):
    """Answers by a formula, with gaps; NaN where a rater gave none."""
    found = np.full((raters, units), np.nan)
    for r in range(raters):
        for u in range(units):
            value = math.sin(1.7 * u + 0.35 * r * r) + 0.4 * math.cos(3.1 * u * r + 1)
            if (u * 3 + r * 5) % 7:
                found[r, u] = value > 0
    return [[bool(one) for one in column[~np.isnan(column)]] for column in found.T]


def slow_alpha(units):
    """1 - observed / expected disagreement, counted over ordered pairs."""
    units = [unit for unit in units if len(unit) > 1]
    values = [one for unit in units for one in unit]
    observed = sum(
        sum(a != b for a, b in permutations(unit, 2)) / (len(unit) - 1) for unit in units
    ) / len(values)
    expected = np.mean([a != b for a, b in permutations(values, 2)])
    return 1 - observed / expected


def test_agreement_of_krippendorffs_own_example():
    # Krippendorff 2011, section A: ten articles, two observers.
    meg, owen = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0], [1, 1, 1, 0, 0, 1, 0, 0, 0, 0]
    alpha = krippendorff([[bool(a), bool(b)] for a, b in zip(meg, owen, strict=True)])
    assert alpha == pytest.approx(0.095, abs=5e-4)


@pytest.mark.parametrize(
    ("raters", "units", "alpha"),
    # PyPI krippendorff 0.9.0, alpha(level_of_measurement="nominal") of the same table
    [(2, 12, 0.5), (3, 20, 0.34928229665071775), (5, 40, -0.06117021276595769)],
)
def test_agreement_with_gaps(raters, units, alpha):
    assert krippendorff(table(raters, units)) == pytest.approx(alpha, abs=1e-12)
    assert slow_alpha(table(raters, units)) == pytest.approx(alpha, abs=1e-12)


def test_agreement_that_is_full_or_cannot_be_said():
    assert krippendorff([[True, True], [False, False]]) == 1
    assert math.isnan(krippendorff([[True], [False]]))
    assert math.isnan(krippendorff([[True, True], [True, True]]))


def test_questions_go_out_and_answers_come_back(tmp_path):
    asked = questions(SMALL, {"cat": ["1.png", "=2"], "dog": ["3.png"]}, {"four legs": ["9.png"]})
    assert len(asked) == 2 * 2 + 1 + 1
    assert asked == questions(
        SMALL, {"cat": ["1.png", "=2"], "dog": ["3.png"]}, {"four legs": ["9.png"]}
    )
    assert sorted(asked, key=str) != asked  # in no order that tells
    assert {one.class_name for one in asked if one.kind == "groundability"} == {""}
    path = tmp_path / "deep" / "ann.csv"
    write_questions(asked, path)
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "question,concept,class,sample,rater,answer"
    assert not any(",=2" in line for line in lines)  # no spreadsheet runs it
    path.write_text("\n".join([lines[0], *(line + "yes" for line in lines[1:])]) + "\n")
    ratings = read_ratings([path])
    assert [one.question for one in ratings] == asked
    assert {one.rater for one in ratings} == {"ann"}
    assert all(one.answer for one in ratings)


def test_the_two_averages():
    def rating(kind, concept, owner, sample, rater, answer):
        return Rating(Question(kind, concept, owner, sample), rater, answer)

    found = summarise(
        [
            rating("factuality", "four legs", "cat", "1", "ann", True),
            rating("factuality", "four legs", "cat", "1", "bob", False),
            rating("factuality", "four legs", "cat", "2", "ann", True),
            rating("factuality", "four legs", "dog", "3", "ann", False),
            rating("factuality", "four legs", "dog", "4", "ann", None),
            rating("groundability", "green eyes", "", "5", "ann", None),
        ]
    )
    (one,) = found  # nobody answered the other
    assert one.kind == "factuality"
    shares = {(score.concept, score.class_name): score.share for score in one.scores}
    assert shares == {("four legs", "cat"): 0.75, ("four legs", "dog"): 0.0}
    assert one.scores[0].share == 0.0  # the worst first
    assert [score.answers for score in one.scores] == [1, 3]
    assert one.mean == 0.375
    assert one.spread == pytest.approx(np.std([0.75, 0.0], ddof=1))
    assert (one.raters, one.same) == (2, 0.0)
    assert one.agreement == pytest.approx(slow_alpha([[True, False]]))


def test_raters_may_share_a_file_and_may_be_unsure(tmp_path):
    path = tmp_path / "both.csv"
    head = "question,concept,class,sample,rater,answer\n"
    path.write_text(head + "groundability,tail,,1,ann,Y\ngroundability,tail,,1,bob,?\n")
    assert [one.answer for one in read_ratings([path])] == [True, None]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("factuality,tail,cat,1,ann,maybe", "allowed are yes, no"),
        ("factual,tail,cat,1,ann,yes", "did you mean 'factuality'"),
        ("factuality,tail,cat,1,ann,yes\nfactuality,tail,cat,1,ann,no", "question 2.*twice"),
    ],
)
def test_answers_that_are_none(tmp_path, row, sentence):
    path = tmp_path / "a.csv"
    path.write_text(f"question,concept,class,sample,rater,answer\n{row}\n")
    with pytest.raises(UserError, match=sentence):
        read_ratings([path])
    path.write_text("question,concept\n")
    with pytest.raises(UserError, match="no column 'class'"):
        read_ratings([path])


def test_questions_about_what_is_not_there():
    with pytest.raises(UserError, match="unknown class 'cow'"):
        questions(SMALL, {"cow": ["1"]})
    with pytest.raises(UserError, match="unknown concept"):
        questions(open_concepts("cifar10"), top={"four leg": ["1"]})
    with pytest.raises(UserError, match="no samples to show"):
        questions(SMALL)


def test_no_cell_of_a_sheet_is_live_and_all_read_back(tmp_path):
    texts = (
        "=1+1",
        "'=2",
        "'tis",
        "@x",
        "-2.5",
        "+more",
        "a\x07b",
        "\tgap",
        r"C:\runs\x07",
        "plain",
    )
    asked = [Question("factuality", text, text, text) for text in texts]
    write_questions(asked, tmp_path / "sheet.csv")
    with (tmp_path / "sheet.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    for row, text in zip(rows, texts, strict=True):
        assert row["concept"][0] not in "=+@\t" and "\x07" not in row["concept"]
        assert row["concept"][0] != "-" or row["concept"] == text == "-2.5"
    assert [rating.question for rating in read_ratings([tmp_path / "sheet.csv"])] == asked
