"""What a command says of its work in a file: a line of each run, whole lines, and what is left."""

import re
from types import SimpleNamespace

import pytest

from tutelage.cli import progress
from tutelage.cli.pace import Pace
from tutelage.cli.progress import Screen


class Spec(SimpleNamespace):
    __hash__ = object.__hash__


def spec(stage):
    return Spec(
        stage=stage, fold_name="fold-1-of-3-with-a-name-longer-than-a-line-of-a-terminal", seed=0
    )


ROW = {"epoch": 0, "train": {"loss": 0.5}, "validation": {"accuracy": 0.875}}
RESULT = {"validation": {"accuracy": 0.875}, "test": {"accuracy": 0.9}}


def carried_out(screen):
    """Two runs that are there, and three that are trained, of which one fails."""
    with screen:
        for number, (stage, outcome, result) in enumerate([
            ("sig", "found", RESULT), ("pi", "found", RESULT), ("alone", "trained", RESULT),
            ("kd", "failed: it diverged", None), ("base", "trained", RESULT),
        ]):  # fmt: skip
            run = spec(stage)
            screen.begin(run, number, 5, "20_14k")
            if outcome != "found":
                screen.epoch(run, ROW, 2)
            screen.end(run, outcome, result)


def test_a_line_of_each_run_and_none_is_wrapped(capsys):
    carried_out(Screen())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "2 runs are there already"
    line = re.compile(r"^\[(\d)/5\] 20_14k: (\w+), fold.*seed 0: (trained|failed)")
    assert [line.search(x).groups() for x in lines[1:]] == [
        ("3", "alone", "trained"), ("4", "kd", "failed"), ("5", "base", "trained")]  # fmt: skip
    assert "validation 87.5 %, test 90.0 %; about 0 s left" in lines[1]
    assert lines[-1].endswith("validation 87.5 %, test 90.0 %"), "nothing is left after the last"


def test_told_to_say_more_it_has_a_line_of_each_epoch_and_of_runs_that_are_there(capsys):
    carried_out(Screen(verbose=True))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5 + 3
    assert sum("epoch 1/2  loss 0.500  validation 87.5 %" in line for line in lines) == 3
    assert sum(": found" in line for line in lines) == 2


def test_work_is_named_only_where_it_takes_time(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with Screen() as screen:
        for what, took in (("quick", 1.0), ("slow", 10.0)):
            for step in range(5):
                screen.progress(what, step / 4)
                now[0] += took
    assert capsys.readouterr().out.splitlines() == ["slow (25 % done)"]


@pytest.mark.parametrize("found", [0, 3])
def test_what_is_left_follows_from_the_runs_that_were_made(found):
    now = [100.0]
    pace = Pace(lambda: now[0])
    total = found + 6
    for _ in range(found):
        pace.begin(total)
        now[0] += 7
        pace.skip()
    said = []
    for _ in range(6):
        pace.begin(total)
        now[0] += 20
        said.append(pace.end())
    assert said == ["about 100 s left".replace("100 s", "2 min"), "about 80 s left", "about 60 s left",
                    "about 40 s left", "about 20 s left", ""]  # fmt: skip
