"""Checkpoints in the layout of PromptSRC and PromptKD become networks that say the same."""

import pytest
import torch

from tests.vlm.small import image_folder
from tutelage.errors import UserError
from tutelage.models import DistilledClip, PromptedClip
from tutelage.recipe.networks import load_network
from tutelage.recipe.published import import_prompts, read_prompts
from tutelage.vlm import OpenClip

pytest.importorskip("open_clip")
NAMES = ("cat", "grey_wolf", "frog")
TOKENS = 3


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return {"type": "OpenClip", "model": str(image_folder(tmp_path_factory.mktemp("clip")))}


def numbers(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).half()


def prompt_src(path):
    """Write what PromptSRC's trainer keeps: prompts of both towers (2 blocks and 1) among much else."""
    state = {
        "prompt_learner.ctx": numbers(TOKENS, 16, seed=1),
        "prompt_learner.token_prefix": numbers(3, 1, 16, seed=2),
        "prompt_learner.token_suffix": numbers(3, 8, 16, seed=3),
        "prompt_learner.ZS_image_encoder.proj": numbers(32, 16, seed=4),
        "image_encoder.VPT": numbers(TOKENS, 32, seed=5),
        "image_encoder.transformer.resblocks.1.VPT_shallow": numbers(TOKENS, 32, seed=6),
        "image_encoder.conv1.weight": numbers(32, 3, 8, 8, seed=7),
        "logit_scale": torch.tensor(4.6).half(),
    }
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(torch.optim.SGD([torch.zeros(1)], 0.1), 3)
    torch.save({"state_dict": state, "epoch": 20, "scheduler": rate.state_dict()}, path)
    return state


def prompt_kd(path):
    """Write what PromptKD's trainer keeps of a student in a space of 16 numbers."""
    inner = "VPT_image_trans.conv1."
    state = {
        "image_encoder.VPT": numbers(TOKENS, 32, seed=8),
        "logit_scale": torch.tensor(4.6).half(),
        f"{inner}0.weight": numbers(16, 16, 1, 1, seed=9), f"{inner}0.bias": numbers(16, seed=10),
        f"{inner}1.weight": numbers(16, seed=11), f"{inner}1.bias": numbers(16, seed=12),
        f"{inner}1.running_mean": numbers(16, seed=13).float(),
        f"{inner}1.running_var": numbers(16, seed=14).float().abs() + 0.1,
        f"{inner}1.num_batches_tracked": torch.tensor(7),
        f"{inner}3.weight": numbers(16, 16, 1, 1, seed=15), f"{inner}3.bias": numbers(16, seed=16),
    }  # fmt: skip
    torch.save({"state_dict": {f"module.{name}": v for name, v in state.items()}}, path)
    return state


def test_prompts_of_promptsrc_predict_as_those_tokens_do(encoder, tmp_path):
    state = prompt_src(tmp_path / "model.pth.tar-20")
    network = {"type": "PromptedClip", "encoder": encoder}
    import_prompts(tmp_path / "model.pth.tar-20", tmp_path / "run", network, NAMES, size=16)
    loaded, spec = load_network(tmp_path / "run" / "best.safetensors")
    assert spec["class_names"] == list(NAMES) and loaded.modality == "image"
    ours = PromptedClip(
        NAMES,
        OpenClip(encoder["model"]),
        tokens=TOKENS,
        vision_depth=2,
        text_depth=1,
        frozen_templates=None,
    ).eval()
    with torch.no_grad():
        ours.text.tokens.copy_(state["prompt_learner.ctx"][None].float())
        for number, name in enumerate(("VPT", "transformer.resblocks.1.VPT_shallow")):
            ours.vision.tokens[number] = state[f"image_encoder.{name}"].float()
        x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(loaded.on_tensor(255 * x).logits, ours(x).logits)
        assert (ours(x).logits - loaded.network(x.flip(3)).logits).abs().max() > 1e-3


def test_a_student_of_promptkd_takes_the_class_embeddings_of_its_teacher(encoder, tmp_path):
    prompt_src(tmp_path / "teacher.pth")
    teacher = {"type": "PromptedClip", "encoder": encoder}
    import_prompts(tmp_path / "teacher.pth", tmp_path / "teacher", teacher, NAMES, size=16)
    state = prompt_kd(tmp_path / "student.pth")
    student = {"type": "DistilledClip", "encoder": encoder}
    import_prompts(
        tmp_path / "student.pth",
        tmp_path / "student",
        student,
        NAMES,
        teacher=tmp_path / "teacher",
        size=16,
    )
    loaded, _ = load_network(tmp_path / "student" / "best.safetensors")
    known, _ = load_network(tmp_path / "teacher" / "best.safetensors")
    assert isinstance(loaded.network, DistilledClip)
    assert torch.equal(loaded.network.vectors, known.network.class_embeddings())
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    inner = {name.removeprefix("VPT_image_trans.conv1."): v.float() for name, v in state.items()}
    with torch.no_grad():
        seen = loaded.network.embedded(loaded.network.encoder.prepare(x))
        seen = seen @ inner["0.weight"].flatten(1).T + inner["0.bias"]
        seen = (seen - inner["1.running_mean"]) / (inner["1.running_var"] + 1e-5).sqrt()
        seen = (seen * inner["1.weight"] + inner["1.bias"]).relu()
        seen = seen @ inner["3.weight"].flatten(1).T + inner["3.bias"]
        said = torch.nn.functional.normalize(seen, dim=1) @ known.network.class_embeddings().T
        torch.testing.assert_close(loaded.network(x).logits, known.network.scale * said)


def test_what_does_not_fit_is_one_sentence(encoder, tmp_path):
    torch.save({"state_dict": {"x": torch.zeros(2)}}, tmp_path / "none.pth")
    with pytest.raises(UserError, match=r"none\.pth: holds no prompts"):
        read_prompts(tmp_path / "none.pth")
    state = prompt_src(tmp_path / "wide.pth")
    state["image_encoder.VPT"], key = (
        numbers(TOKENS, 8, seed=1),
        "image_encoder.transformer.resblocks.1.VPT_shallow",
    )
    state[key] = numbers(TOKENS, 8, seed=2)
    torch.save({"state_dict": state}, tmp_path / "wide.pth")
    network = {"type": "PromptedClip", "encoder": encoder}
    with pytest.raises(UserError, match=r"wide\.pth: does not fit PromptedClip.*vision\.tokens"):
        import_prompts(tmp_path / "wide.pth", tmp_path / "run", network, NAMES)
