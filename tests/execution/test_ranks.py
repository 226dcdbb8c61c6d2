"""One training in two processes gives the numbers of one process, whatever the objective."""

import pytest
import torch
from lightning_fabric import Fabric

from tests.execution import lessons


@pytest.fixture(scope="module")
def divided(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ranks")
    lessons.launch(lessons.every_lesson, str(folder))
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.parametrize("name", lessons.NAMES)
def test_two_processes_make_the_steps_of_one(name, divided):
    alone = lessons.taught(name, Fabric(accelerator="cpu", devices=1, precision="64-true"))
    first, second = (part[name] for part in divided)
    assert alone.keys() == first.keys() == second.keys()
    for key, value in alone.items():
        torch.testing.assert_close(
            first[key], value, rtol=1e-8, atol=1e-10, msg=key, equal_nan=True
        )
        assert torch.equal(first[key], second[key]) or bool(first[key].isnan().any()), key
