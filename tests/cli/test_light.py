"""What a command imports: only what it needs."""

import subprocess
import sys

import pytest

from tests.execution.tiny import carried_out

CODE = """
import sys
from typer.testing import CliRunner
from tutelage.cli.root import app
result = CliRunner().invoke(app, sys.argv[1:])
assert result.exit_code == 0, result.output
print(result.output)
heavy = ("torch", "numpy", "pandas", "sklearn", "scipy", "numba", "matplotlib", "lightning_fabric",
         "torchmetrics", "torchvision", "transformers", "safetensors")
print([name for name in heavy if name in sys.modules])
"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return carried_out(tmp_path_factory.mktemp("finished"))[0]


def test_the_status_of_a_finished_study_reads_records_and_imports_nothing_heavy(finished):
    done = subprocess.run(
        [sys.executable, "-c", CODE, "study", "status", str(finished)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "nothing is left" in done.stdout
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [("--help",), ("study", "--help"), ("--version",)])
def test_help_imports_nothing_heavy(command):
    done = subprocess.run(
        [sys.executable, "-c", CODE, *command], capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"
