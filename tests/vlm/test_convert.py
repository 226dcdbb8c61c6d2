"""Published encoders converted once: the same answers, the right activation, and nothing that runs."""

import json
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from tutelage.cli.root import app
from tutelage.errors import UserError
from tutelage.vlm import OpenClip
from tutelage.vlm.convert import convert_encoder

open_clip = pytest.importorskip("open_clip")

# OpenAI's heads have 64 numbers, so nothing smaller is an archive of theirs.
TEXT = {"context_length": 12, "vocab_size": 49408, "width": 64, "heads": 1, "layers": 2}
TOWERS = {
    "transformer": {"image_size": 16, "layers": 3, "width": 128, "head_width": 64, "patch_size": 8},
    "convolutions": {"image_size": 32, "layers": [1, 2, 1, 1], "width": 8, "head_width": 64},
}
SIZES = {"input_resolution": 16, "context_length": 12, "vocab_size": 49408}


def described(tower, *, quick):
    return {"embed_dim": 32, "quick_gelu": quick, "vision_cfg": TOWERS[tower], "text_cfg": TEXT}


def built(tower, *, quick=True):
    torch.manual_seed(0)
    model = open_clip.CLIP(**described(tower, quick=quick)).eval()
    # What a file keeps in half precision is what both sides are asked with.
    model.load_state_dict(
        {k: v.half().float() if v.is_floating_point() else v for k, v in model.state_dict().items()}
    )
    return model


def inputs(tower):
    side = TOWERS[tower]["image_size"]
    pictures = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    return pictures, open_clip.tokenizer.tokenize(
        ["a photo of a cat", "two dogs"], context_length=12
    )


def as_openai(model, tower, path, *, script):
    """Write what OpenAI publishes: half precision, three sizes beside the weights; TorchScript or a state."""
    sizes = {name: torch.tensor(value) for name, value in SIZES.items()}
    if not script:
        torch.save({k: v.half() for k, v in model.state_dict().items()} | sizes, path)
        return path
    for name, value in sizes.items():
        vars(model).pop(name, None)
        model.register_buffer(name, value)
    torch.jit.trace(model, inputs(tower), check_trace=False).half().save(path)
    return path


@pytest.mark.parametrize("script", [True, False])
@pytest.mark.parametrize("tower", TOWERS)
def test_an_archive_of_openai_says_the_same_after_conversion(tower, script, tmp_path):
    model = built(tower)
    pictures, words = inputs(tower)
    with torch.no_grad():
        told = model.encode_image(pictures), model.encode_text(words)
    path = as_openai(model, tower, tmp_path / "ViT-tiny.pt", script=script)
    done = CliRunner().invoke(app, ["encoders", "convert", str(path), str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    side = TOWERS[tower]["image_size"]
    assert f"reads images of {side}x{side} pixels, 32 numbers, QuickGELU" in done.output
    assert f"{{type: OpenClip, model: {tmp_path / 'out'}}}" in done.output
    encoder = OpenClip(str(tmp_path / "out")).load()
    with torch.no_grad():
        torch.testing.assert_close(encoder.encode_inputs(pictures), told[0], atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(encoder.encode_tokens(words), told[1], atol=1e-5, rtol=1e-5)
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".json", ".safetensors"}
    assert not SIZES.keys() & load_file(tmp_path / "out" / "open_clip_model.safetensors").keys()


@pytest.mark.parametrize("quick", [True, False])
def test_a_state_dict_has_the_activation_of_the_name_it_is_given(quick, tmp_path):
    for each in (True, False):
        name = "tiny-64" + "-quickgelu" * each
        (tmp_path / f"{name}.json").write_text(json.dumps(described("transformer", quick=each)))
        open_clip.add_model_config(tmp_path / f"{name}.json")
    model = built("transformer", quick=quick)
    pictures, words = inputs("transformer")
    torch.save(
        {"state_dict": {f"module.{k}": v for k, v in model.state_dict().items()}},
        tmp_path / "epoch_32.pt",
    )
    name = "tiny-64" + "-quickgelu" * quick
    made = convert_encoder(tmp_path / "epoch_32.pt", tmp_path / "out", name)
    assert made.quick_gelu is quick
    encoder = OpenClip(str(tmp_path / "out")).load()
    other = built("transformer", quick=not quick)
    with torch.no_grad():
        for ours, theirs in (
            (encoder.encode_inputs(pictures), model.encode_image(pictures)),
            (encoder.encode_tokens(words), model.encode_text(words)),
        ):
            torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
        assert (encoder.encode_inputs(pictures) - other.encode_image(pictures)).abs().max() > 1e-3
    with pytest.raises(UserError, match="neither heads nor activation"):
        convert_encoder(tmp_path / "epoch_32.pt", tmp_path / "no")
    archive = as_openai(built("transformer"), "transformer", tmp_path / "openai.pt", script=False)
    with pytest.raises(UserError, match=r"is of OpenAI.*allowed: model: tiny-64-quickgelu"):
        convert_encoder(archive, tmp_path / "no", "tiny-64")
    assert convert_encoder(archive, tmp_path / "yes", "tiny-64-quickgelu").quick_gelu
    assert not (tmp_path / "no").exists()


class Bad:
    def __reduce__(self):
        return os.system, (f"touch {MARK}",)


MARK = "/tmp/tutelage-conversion-ran"


def test_what_asks_for_more_than_tensors_is_refused_and_not_run(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.pth.tar-50", "w") as file:
        file.writestr("a/data.pkl", pickle.dumps({"state_dict": {}, "val_result": Bad()}))
    done = CliRunner().invoke(
        app, ["encoders", "convert", str(tmp_path / "model.pth.tar-50"), str(tmp_path / "x")]
    )
    assert done.exit_code == 2
    assert "posix.system, which is not allowed; nothing was executed" in done.output
    assert not Path(MARK).exists() and not (tmp_path / "x").exists()


def test_another_archive_is_one_sentence(tmp_path):
    torch.save({name: torch.tensor(value) for name, value in SIZES.items()}, tmp_path / "sizes.pt")
    with pytest.raises(UserError, match=r"sizes\.pt: is no CLIP of OpenAI \('ln_final\.weight'"):
        convert_encoder(tmp_path / "sizes.pt", tmp_path / "out")
