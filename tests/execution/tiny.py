"""A study of seconds: two teachers, one student, two ways to teach it."""

from pathlib import Path

import yaml

from tests.training.small import recipe
from tutelage.execution.listener import Quiet
from tutelage.execution.workers import RunConfig
from tutelage.study.file import load_study
from tutelage.study.run import plan_study, run_study


def content(**changes):
    """Return a study file; six different runs for one fold and one seed less than it asks for."""
    small = recipe()
    small["modalities"] = {}
    small["train"] |= {"epochs": 1}
    small["distiller"]["soft"]["weighting"] = {"type": "Uniform"}
    small["stages"] = {
        "wide": {"network": {"width": 2}, "seed": 0},
        "alone": {},
        "student": {"teachers": ["wide"]},
    }
    return {
        "title": "Tiny",
        "recipe": small,
        "vary": {"share": {"half": {}, "most": {"distiller.soft.coefficient": 0.9}}},
    } | changes


def write(folder: Path, **changes) -> Path:
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(content(**changes), sort_keys=False))
    return path


def places(folder: Path, jobs: int = 1) -> RunConfig:
    return RunConfig(folder / "runs", folder, "cpu", jobs)


class Told(Quiet):
    """Remembers how every run ended, in order."""

    def __init__(self):
        self.ends = []
        self.cell = {}

    def begin(self, job, number, total, cell):
        self.cell[job] = cell

    def end(self, job, outcome, evaluation):
        self.ends.append((self.cell[job], job.stage, job.seed, outcome))

    def those(self, outcome):
        return [end[:3] for end in self.ends if end[3].startswith(outcome)]


def carried_out(folder: Path, jobs: int = 1, **changes):
    told = Told()
    study = load_study(write(folder, **changes), name="tiny")
    planned = plan_study(study, places(folder, jobs), told)
    return run_study(study, planned, told), told
