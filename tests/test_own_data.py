"""The page "Your own data, from zero", in a small form: its commands on three people, in an empty folder."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.data.recordings.made import put, table

PAGE = Path("docs/own-data.md").read_text()
SMALL = {"run": ["train.epochs=1", "seeds=[0]"], "check": ["train.epochs=1"],
         "study": ["set.train.epochs=1", "set.folds=[0]", "set.seeds=[0]"]}  # fmt: skip


@pytest.mark.slow
def test_five_commands_lead_from_recordings_to_a_report(tmp_path):
    source = str(Path("src").absolute())
    for number in range(3):
        for hz, name in ((1.0, "walk"), (6.0, "run")):
            frame = table(seconds=30.0, labels=(name,), hz=hz + number / 10)
            put(frame, tmp_path / "recordings" / f"P{number}" / f"{name}.csv")
    commands = re.findall(r"^(tutelage .*?) +# +\d", PAGE, re.M)
    assert len(commands) == 5
    for command in commands:
        _, *words = command.split()
        words += SMALL.get(words[0], [])
        done = subprocess.run(
            [sys.executable, "-m", "tutelage", *words], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"PYTHONPATH": source}, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    (report,) = (tmp_path / "runs").glob("my-study-recipe*/report/index.html")
    assert "my-study" in report.read_text()
    assert (tmp_path / "data.html").is_file()
    assert len(list((tmp_path / "runs").glob("my-study-study*/*/experiment.json"))) == 2
