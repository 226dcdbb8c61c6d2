"""Text that people write: every mistake is a sentence with its place, and nothing takes long."""

import pytest

from tests.training.small import recipe
from tutelage.errors import QUOTED, UserError, quoted, unknown
from tutelage.recipe.config import Recipe, load, parse
from tutelage.recipe.names import path_part, refuse_names
from tutelage.recipe.reader import read_override, read_text, read_yaml


def test_what_a_recipe_may_hold_is_read():
    text = "a: 1e-4\nb: [1, 2.5, true, null, x]\nc: {d: '1'}\n0.1: 2024-13-45\ne: &x [1]\nf: *x\n"
    assert read_text(text, "it") == {
        "a": 1e-4, "b": [1, 2.5, True, None, "x"], "c": {"d": "1"}, 0.1: "2024-13-45", "e": [1],
        "f": [1],
    }  # fmt: skip


LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a: [1, 2", r"it: line 1, column 9: not readable as YAML: expected ',' or ']'"),
        ("a: 1\na: 2", r"it: line 2, column 1: .*key 'a' stands twice"),
        ("[1]: 2", r"line 1, column 1: .*a key is a list"),
        ("? {a: 1}\n: 2", r"a key is a list or a mapping"),
        ("a: !!int x", r"line 1, column 4: .*'x' is no int"),
        ("a: !!float x", r"'x' is no float"),
        ("a: !!timestamp x", r"is no type of a recipe"),
        ("a: !!python/object:os.system x", r"is no type of a recipe"),
        ("a: !!set {b}", r"is no type of a recipe"),
        ("a: &b {c: 1}\nd: {<<: *b}", r"line 2, column 5: .*merge keys .* are not read"),
        ("a: &b [*b]", r"line 1, column 4: .*an alias stands inside what it names"),
        ("a: *b", r"line 1, column 4: .*found undefined alias"),
        ("a: " + "[" * 60 + "]" * 60, r"nested too deeply"),
        ("a: " + "[" * 5000, r"nested too deeply|line 1"),
        (LAUGHS, r"holds more than 100,000 values"),
        ("a: b\n\tc: d", r"line 2, column 1"),
        ("a: '\x01'", r"not readable as YAML"),
    ],
)
def test_every_mistake_is_a_sentence_with_its_place(text, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        read_text(text, "it")
    assert len(str(caught.value)) < 400


def test_files_that_are_no_recipes_are_refused(tmp_path):
    path = tmp_path / "recipe.yaml"
    for content, sentence in (
        (b"a: 1\nb: \xff\xfe", r"recipe.yaml: line 2: is not written in UTF-8"),
        (b"a: 1\n" * 300_000, "holds more than 1.0 MB|holds more than 1 MB"),
        (b"", "found NoneType; allowed: a mapping of recipe keys"),
        (b"- 1", "found list; allowed: a mapping of recipe keys"),
    ):
        path.write_bytes(content)
        with pytest.raises(UserError, match=sentence):
            read_yaml(path, "recipe")
    with pytest.raises(UserError, match="there is no such recipe file"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["a", "a.b.", "=1", "a=[", "a..b=1", ".".join("a" * 30) + "=1"])
def test_overrides_are_refused_in_a_sentence(text):
    with pytest.raises(UserError, match="override"):
        read_override(text)


def test_errors_quote_a_part_of_what_was_found():
    assert len(quoted("x" * 10**6)) <= QUOTED
    assert quoted([1]) == "[1]"
    message = str(unknown("p", "class", "y" * 5000, [f"class {i}" for i in range(10_000)]))
    assert len(message) < 2000
    assert "and 9940 more" in message


SOUND = ["base", "w-o SP", "bo-qsa", "Fold 1", "größe", "1", "a.b", "(x) + y"]
UNSOUND = ["", ".", "..", "../../escape", "w/o SP", "a\\b", "C:", "nul", "NUL.txt", "com1", " a", "a ",
           "a.", ".a", "a\0", "a\n", "x" * 101, "\ud800", "a*b"]  # fmt: skip


def test_names_become_parts_of_paths_or_are_refused():
    refuse_names(SOUND, "stages")
    for name in UNSOUND:
        with pytest.raises(
            UserError, match=r"stages: found the name .*; allowed: at most 100 bytes"
        ):
            refuse_names([name], "stages")
    with pytest.raises(UserError, match="'Base' are one name where capitals do not count"):
        refuse_names(["base", "Base"], "stages")


def test_names_from_data_are_spelled_out(tmp_path):
    assert [path_part(name) for name in SOUND] == SOUND
    parts = [path_part(name) for name in UNSOUND if name != "\ud800"]
    for part in parts:
        refuse_names([part], "part")
        assert (tmp_path / part).resolve().parent == tmp_path.resolve()
    assert path_part("../../../../subj").startswith("%2E%2E%2F%2E%2E%2F%2E%2E%2F%2E%2E%2Fsubj-")
    assert len(set(parts)) == len(parts)
    assert path_part("x" * 101) != path_part("x" * 102)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"train": {"clip_norm": -1}}, r"train.clip_norm: found -1.*greater than 0"),
        ({"train": {"clip_norm": float("nan")}}, r"train.clip_norm: found nan"),
        ({"train": {"learning_rate": 0}}, r"train.learning_rate"),
        ({"train": {"learning_rate": -0.1}}, r"learning_rate.*above 0"),
        ({"train": {"learning_rate": float("inf")}}, r"train.learning_rate"),
        ({"train": {"epochs": 10**9}}, r"train.epochs: found 1000000000"),
        ({"train": {"batch_size": 1}}, r"train.batch_size: found 1"),
        ({"folds": []}, r"folds: \[\] must be"),
        ({"seeds": [-1]}, r"seeds.0: found -1"),
        ({"stages": {"w/o SP": {}}}, r"stages: found the name 'w/o SP'"),
        ({"stages": {"../../escape": {}}}, r"stages: found the name"),
        ({"stages": {"a": {}, "A": {}}, "baseline": None}, r"one name where capitals"),
        ({"modalities": {"..": {"type": "GramianField"}}}, r"modalities: found the name"),
    ],
)
def test_numbers_and_names_are_checked_when_the_recipe_is_read(change, sentence):
    with pytest.raises(UserError, match=sentence):
        parse(Recipe, recipe() | {"baseline": None} | change, "")


@pytest.mark.parametrize("off", [0, 0.0, float("inf"), None])
def test_nothing_and_no_end_switch_clipping_off(off):
    content = recipe()
    content["train"]["clip_norm"] = off
    assert parse(Recipe, content, "").train.clip_norm is None
