from pathlib import Path

import numpy as np
import yaml

from tests.execution.tiny import content, places
from tests.training.small import recipe
from tutelage.execution import run as running
from tutelage.execution.listener import Quiet
from tutelage.study.file import load_study
from tutelage.study.run import plan_study


def planned(folder: Path, monkeypatch):
    """Return a planned study, and the stages that were tried for each of its two cells."""
    tried = []

    def check(specs, data, gradients):
        tried.append([spec.stage for spec in specs])
        return original(specs, data, gradients=gradients)

    original = running.check
    monkeypatch.setattr(running, "check", check)
    small = content()
    small["recipe"]["modalities"] = recipe()["modalities"]
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump(small, sort_keys=False))
    return plan_study(load_study(path, name="tiny"), places(folder), Quiet()), tried


def test_a_stage_that_cells_share_is_tried_once(tmp_path, monkeypatch):
    _, tried = planned(tmp_path, monkeypatch)
    assert [sorted(set(stages)) for stages in tried] == [["alone", "student", "wide"], ["student"]]


def test_a_few_samples_are_represented_once_and_alike(tmp_path, monkeypatch):
    plan, _ = planned(tmp_path, monkeypatch)
    [fold] = plan.kept.folds.values()
    [name, *_] = fold.modalities
    first, second = fold.small(12), fold.small(12)
    assert first is second and fold.small(11) is not first
    values = first.values(name)
    assert first.values(name) is values
    modality = fold._modality(name)
    modality.fit(first.dataset.inputs[first.split.train])
    np.testing.assert_array_equal(values, modality.transform(first.dataset.inputs))
