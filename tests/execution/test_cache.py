"""The cache of runs: shown as it lies on the disk, pruned from the oldest, never beside a run that goes on."""

import os
import time

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from tests.training.small import recipe
from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.execution import run
from tutelage.execution.cache import BOUND, entries, hold_bound, prune, size_of
from tutelage.execution.workers import RunConfig
from tutelage.recipe.config import Recipe, parse


def smaller(content):
    content["train"]["epochs"] = 1
    content["stages"] = {key: content["stages"][key] for key in ("sig", "pi", "alone", "base")}
    content["stages"]["base"]["teachers"] = ["sig", "pi"]
    content["distiller"]["soft"]["weighting"] = {"type": "Uniform"}


@pytest.fixture
def made(tmp_path):
    config = RunConfig(tmp_path / "runs", tmp_path, "cpu", 1)
    run.execute(parse(Recipe, recipe(smaller), ""), "it", config)
    return config


def on_disk(cache):
    small = {"locks", "costs", "ways", "precision", "statistics", "clean"}
    return sum(
        path.stat().st_size for path in cache.rglob("*")
        if path.is_file() and not small & set(path.relative_to(cache).parts) and ".fit." not in path.name
    )  # fmt: skip


def test_what_is_there_is_shown_with_its_size(made):
    found = entries(made.cache)
    assert sorted(entry.kind for entry in found) == ["representation"] * 2 + ["teacher"] * 2
    assert sum(entry.bytes for entry in found) == on_disk(made.cache)
    shown = CliRunner().invoke(app, ["cache", "--runs", str(made.runs)])
    assert shown.exit_code == 0 and "in 4 entries" in shown.output and "logits of" in shown.output
    assert "teacher: sig in it on " in shown.output and "teacher: pi in it on " in shown.output


def test_the_oldest_goes_first_and_is_made_again(made):
    old = entries(made.cache)[-1]
    for path in old.paths:
        for file in [path] if path.is_file() else path.iterdir():
            os.utime(file, (time.time() - 10**6,) * 2)
    rest = sum(entry.bytes for entry in entries(made.cache)) - old.bytes
    removed = prune(made.cache, to=rest)
    assert [entry.paths for entry in removed] == [old.paths]
    assert sum(entry.bytes for entry in entries(made.cache)) == rest == on_disk(made.cache)
    content = recipe(smaller)
    content["stages"]["base"]["distiller"] = {"soft": {"coefficient": 0.1}}
    run.execute(parse(Recipe, content, ""), "other", made)
    assert len(entries(made.cache)) == 4


def test_what_was_not_used_for_days_goes(made):
    assert prune(made.cache, older_than=3600.0) == []
    for path in made.cache.rglob("*"):
        os.utime(path, (time.time() - 7200,) * 2)
    assert len(prune(made.cache, older_than=3600.0)) == 4
    assert entries(made.cache) == [] and on_disk(made.cache) == 0


def test_nothing_goes_while_a_run_is_trained(made):
    lock = next((made.cache / "locks").iterdir())
    with FileLock(lock), pytest.raises(UserError, match="runs are being trained from it"):
        prune(made.cache, to=0)
    assert len(entries(made.cache)) == 4


def test_a_bound_is_held_after_every_run(made, monkeypatch):
    monkeypatch.setenv(BOUND, "1 kB")
    run.execute(parse(Recipe, recipe(smaller), ""), "it", made)
    assert sum(entry.bytes for entry in entries(made.cache)) <= 1000
    monkeypatch.setenv(BOUND, "much")
    with pytest.raises(
        UserError, match=r"TUTELAGE_CACHE: found 'much'; allowed: a number with B, KB"
    ):
        hold_bound(made.cache)


@pytest.mark.parametrize(
    ("text", "size"), [("2GB", 2 * 10**9), ("500 mb", 5 * 10**8), ("1.5K", 1500), ("12", 12)]
)
def test_sizes(text, size):
    assert size_of(text, "--to") == size
