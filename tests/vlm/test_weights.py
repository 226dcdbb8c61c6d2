"""Weights of other people: the same numbers as the libraries read, and nothing that runs."""

import collections
import io
import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.vlm.small import IMAGES
from tutelage.errors import UserError
from tutelage.vlm import OpenClip
from tutelage.vlm.weights import read_weights

open_clip = pytest.importorskip("open_clip")

OPENAI = {**IMAGES, "quick_gelu": True}
SIZES = {"input_resolution": 16, "context_length": 12, "vocab_size": 49408}
PICTURES = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", autouse=True)
def named(tmp_path_factory):
    folder = tmp_path_factory.mktemp("configs")
    for name, config in {"tiny-plain": IMAGES, "tiny-plain-quickgelu": OPENAI}.items():
        (folder / f"{name}.json").write_text(json.dumps(config))
        open_clip.add_model_config(folder / f"{name}.json")


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    return open_clip.CLIP(**OPENAI).eval()


def as_openai(model, path, *, script):
    """Write a model as OpenAI does: half precision, with three sizes beside the weights."""
    half = open_clip.CLIP(**OPENAI).eval()
    half.load_state_dict(model.state_dict())
    half = half.half()
    if not script:
        torch.save({**half.state_dict(), **{k: torch.tensor(v) for k, v in SIZES.items()}}, path)
        return path
    for name, value in SIZES.items():
        vars(half).pop(name, None)
        half.register_buffer(name, torch.tensor(value))
    half.float()
    words = torch.zeros(1, 12, dtype=torch.long)
    traced = torch.jit.trace(half, (PICTURES[:1], words), check_trace=False)
    traced.half().save(path)
    return path


@pytest.mark.parametrize("script", [True, False])
def test_archives_of_openai_are_read_as_they_are(model, tmp_path, script):
    path = as_openai(model, tmp_path / "ViT-tiny.pt", script=script)
    encoder = OpenClip("tiny-plain-quickgelu", str(path)).load()
    rounded = {k: v.half().float() for k, v in model.state_dict().items()}
    found = encoder.model.state_dict()
    assert found.keys() == rounded.keys()
    assert all(torch.equal(found[name], values) for name, values in rounded.items())
    same = open_clip.CLIP(**OPENAI).eval()
    same.load_state_dict(rounded)
    with torch.no_grad():
        assert torch.equal(encoder.encode_inputs(PICTURES), same.encode_image(PICTURES))
    with pytest.raises(UserError, match=r"is of OpenAI.*allowed: model: tiny-plain-quickgelu"):
        OpenClip("tiny-plain", str(path)).load()


def test_what_training_code_writes_is_read_and_its_objects_stand_still(model, tmp_path):
    optimizer = torch.optim.AdamW(model.parameters())
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    state = {f"module.{name}": values for name, values in model.state_dict().items()}
    content = {"epoch": 3, "scheduler": rate, "optimizer": optimizer.state_dict()}
    torch.save(
        {**content, "state_dict": collections.OrderedDict(state)}, tmp_path / "model.pth.tar-3"
    )
    found = read_weights(tmp_path / "model.pth.tar-3")
    assert found.keys() == model.state_dict().keys()
    assert all(torch.equal(found[name], v) for name, v in model.state_dict().items())


def test_views_types_and_shared_values(tmp_path):
    base = torch.arange(12, dtype=torch.float64).reshape(3, 4)
    tensors = {
        "turned": base.T, "part": base[1:, ::2], "whole": base, "half": base.half(), "bytes": base.byte(),
        "brain": base.bfloat16(), "yes": base > 3, "none": torch.zeros(0), "one": torch.tensor(7),
    }  # fmt: skip
    torch.save(tensors, tmp_path / "x.pt")
    for name, values in read_weights(tmp_path / "x.pt").items():
        assert values.dtype == tensors[name].dtype and torch.equal(values, tensors[name]), name
    save_file({"a": base.contiguous()}, tmp_path / "x.safetensors")
    assert torch.equal(read_weights(tmp_path / "x.safetensors")["a"], base)


class Bad:
    def __reduce__(self):
        return os.system, ("touch /tmp/tutelage-was-here",)


def archive(path, content, members=()):
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("a/data.pkl", content)
        for name, data in members:
            file.writestr(name, data)
    return path


def structure(size, stride, count):
    """Return a pickle of one tensor, as torch writes it."""

    class Storage:
        pass

    class Writer(pickle.Pickler):
        def persistent_id(self, thing):
            return (
                ("storage", torch.FloatStorage, "0", "cpu", count)
                if isinstance(thing, Storage)
                else None
            )

    class Tensor:
        def __reduce__(self):
            given = (Storage(), 0, size, stride, False, collections.OrderedDict())
            return torch._utils._rebuild_tensor_v2, given

    file = io.BytesIO()
    Writer(file, 2).dump({"x": Tensor()})
    return file.getvalue()


def wrong_files(folder):
    yield (
        archive(folder / "code.pt", pickle.dumps({"x": Bad()})),
        "posix.system, which is not allowed",
    )
    yield archive(folder / "eval.pt", b"cbuiltins\neval\n(S'1'\ntR."), "builtins.eval, which is not"
    yield (
        archive(folder / "short.pt", structure((4,), (1,), 4), [("a/data/0", b"\0" * 8)]),
        "8 bytes",
    )
    yield (
        archive(folder / "out.pt", structure((4,), (3,), 4), [("a/data/0", b"\0" * 16)]),
        "readable",
    )
    yield archive(folder / "gone.pt", structure((4,), (1,), 4)), "holds no readable weights"
    swapped = [("a/byteorder", b"big"), ("a/data/0", b"\0" * 16)]
    yield archive(folder / "big.pt", structure((4,), (1,), 4), swapped), "byte order"
    yield archive(folder / "empty.pt", pickle.dumps({"epoch": 3})), "holds no tensors"
    for name, content in {
        "text.pt": b"not weights",
        "empty.bin": b"",
        "x.safetensors": b"\xff" * 40,
    }.items():
        (folder / name).write_bytes(content)
        yield folder / name, "is no file of weights"
    torch.save({"x": torch.zeros(2)}, folder / "old.pt", _use_new_zipfile_serialization=False)
    yield folder / "old.pt", "since torch 1.6"
    yield folder / "nowhere.pt", "is no file of weights"


def test_wrong_files_are_one_sentence_and_run_nothing(tmp_path):
    for path, said in wrong_files(tmp_path):
        with pytest.raises(UserError, match=said) as error:
            read_weights(path)
        assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)
        if path.exists():
            with pytest.raises(UserError, match=path.name):
                OpenClip("tiny-plain", str(path)).load()
    assert not Path("/tmp/tutelage-was-here").exists()


def test_weights_of_another_model_are_one_sentence(model, tmp_path):
    state = dict(model.state_dict())
    for change in (
        lambda s: s.pop("ln_final.bias"),
        lambda s: s.update(prompt=torch.zeros(2)),
        lambda s: s.update({"ln_final.bias": torch.zeros(3)}),
        lambda s: s.update({"visual.positional_embedding": torch.zeros(17, 32)}),
    ):
        other = dict(state)
        change(other)
        torch.save(other, tmp_path / "other.pt")
        with pytest.raises(UserError, match="cannot load 'tiny-plain-quickgelu'"):
            OpenClip("tiny-plain-quickgelu", str(tmp_path / "other.pt")).load()
