"""Recipes and study files with random faults: each is read, or refused in one sentence; nothing else happens."""

import random
from copy import deepcopy

import pytest
import yaml

from tests.training.small import recipe
from tutelage.errors import UserError
from tutelage.execution.listener import Quiet
from tutelage.execution.run import execute
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, load, parse
from tutelage.recipe.data_spec import DataSpec, folds, load_data
from tutelage.recipe.fold import Fold
from tutelage.recipe.resolve import resolve
from tutelage.study.file import load_study
from tutelage.training.check import check

pytestmark = pytest.mark.slow

ODD = [
    None, True, 0, -1, 3, 10**12, 0.0, -0.5, 1e-30, float("nan"), float("inf"), "", "x", ".", "a.b", "..", "../x",
    "torch.nn.Identity", "os.system", "forward", "training", [], [1], ["x"], {}, {"type": ""}, {"type": "x"},
    {"type": 3}, {"a": {"b": 1}}, "é" * 300, "\0",
]  # fmt: skip
PIECES = [b"\xff", b"*a", b"&a", b"<<: ", b"!!int ", b"!!binary ", b"{", b"]", b"'", b"\t", b"? ", b"- ", b": ",
          b"\x00", b"2001-13-45", b"%YAML 9\n", b"---\n", b"[" * 100]  # fmt: skip


def places_of(value, path=()):
    """Yield where values stand in nested mappings and lists."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        yield (*path, key)
        if isinstance(item, dict | list):
            yield from places_of(item, (*path, key))


def mutated(content, draw):
    """Return a copy with one to three values replaced, removed, or put under another key."""
    content = deepcopy(content)
    for _ in range(draw.randint(1, 3)):
        *path, last = draw.choice(list(places_of(content)))
        owner = content
        for key in path:
            owner = owner[key]
        way = draw.random()
        if way < 0.7 or isinstance(owner, list):
            owner[last] = deepcopy(draw.choice(ODD))
        elif way < 0.85:
            del owner[last]
        else:
            owner[draw.choice(["x", "", "type", 3, "a.b", "seed"])] = owner.pop(last)
        if not content:
            break
    return content


def garbled(text, draw):
    """Return text with pieces put in, or cut out."""
    for _ in range(draw.randint(1, 4)):
        at = draw.randrange(len(text))
        cut = draw.choice([0, 0, 1, 5, 40])
        text = text[:at] + draw.choice(PIECES) + text[at + cut :]
    return text


def study():
    return {"recipe": recipe(), "vary": {"share": {"half": {}, "most": {"train.epochs": 1}}},
            "skip": [], "set": {"seeds": [0]}, "table": {"rows": "stage"}, "tune": {}}  # fmt: skip


@pytest.mark.parametrize(("content", "read"), [(recipe, load), (study, load_study)])
def test_files_are_read_or_refused(content, read, tmp_path):
    draw, path, refused = random.Random(0), tmp_path / "file.yaml", 0
    for number in range(2100):
        text = yaml.safe_dump(mutated(content(), draw), sort_keys=False, allow_unicode=True).encode(
            errors="replace"
        )
        path.write_bytes(garbled(text, draw) if number % 2 else text)
        try:
            read(path)
        except UserError as error:
            refused += 1
            assert len(str(error)) < 6000
    assert refused > 500


def test_what_check_accepts_trains(tmp_path):
    draw, accepted = random.Random(1), 0
    content = recipe(lambda c: c["train"].update(epochs=1))
    content["stages"] = {name: content["stages"][name] for name in ("sig", "pi", "gaf", "base")}
    content["baseline"] = None
    for number in range(150):
        try:
            parsed = parse(Recipe, mutated(content, draw), "")
            if parsed.data != content["data"]:
                continue
            dataset = load_data(parsed.data, tmp_path)
            fold = folds(parsed, dataset)[0]
            data = Fold.of(DataSpec.of(parsed), dataset, fold, tmp_path / "cache")
            check(resolve(parsed, fold, data), data)
        except UserError:
            continue
        accepted += 1
        if accepted > 8:
            break
        ends = Ends()
        execute(parsed, f"it-{number}", RunConfig(tmp_path / "runs", tmp_path, "cpu", 1), ends)
        assert not [text for text in ends.texts if "Error" in text]
    assert accepted


class Ends(Quiet):
    """Remembers how runs ended."""

    def __init__(self):
        self.texts = []

    def end(self, spec, outcome, evaluation):
        self.texts.append(outcome)
