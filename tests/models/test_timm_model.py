"""Weights of other people in timm's models: read, or refused in one sentence."""

import pytest
import torch

from tutelage.errors import UserError
from tutelage.models import Timm

timm = pytest.importorskip("timm")
NAME = "test_resnet"


def made(path):
    return Timm(3, 4, name=NAME, options={"checkpoint_path": str(path)})


def test_a_file_of_weights_is_taken(tmp_path):
    torch.manual_seed(0)
    model = timm.create_model(NAME, num_classes=4)
    torch.save(model.state_dict(), tmp_path / "x.pth")
    state = made(tmp_path / "x.pth").model.state_dict()
    assert all(torch.equal(state[name], values) for name, values in model.state_dict().items())


def test_wrong_files_are_one_sentence(tmp_path):
    (tmp_path / "text.pth").write_text("not weights")
    (tmp_path / "empty.safetensors").write_bytes(b"")
    torch.save({"x": torch.zeros(2)}, tmp_path / "other.pth")
    torch.save([1, 2], tmp_path / "list.pth")
    for file in ("text.pth", "empty.safetensors", "other.pth", "list.pth", "nowhere.pth"):
        with pytest.raises(UserError, match=f"timm cannot make '{NAME}' so") as error:
            made(tmp_path / file)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400
