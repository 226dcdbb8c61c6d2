"""Checkpoints in the layout of PromptSRC and PromptKD become networks that say the same."""

import numpy as np
import pytest
import torch
import yaml
from typer.testing import CliRunner

from tests.vlm.small import IMAGES, image_folder
from tutelage.cli.root import app
from tutelage.data import SyntheticImages
from tutelage.errors import UserError
from tutelage.models import DistilledClip, PromptedClip
from tutelage.recipe.networks import load_network
from tutelage.recipe.published import import_prompts, read_prompts
from tutelage.runs.ledger import read_experiment
from tutelage.vlm import OpenClip
from tutelage.vlm.hugging_face import export_hugging_face
from tutelage.vlm.open_clip import new_open_clip, save_open_clip
from tutelage.vlm.pictures import Preparation

pytest.importorskip("open_clip")
NAMES = ("cat", "grey_wolf", "frog")
TOKENS = 3
QUICK = {**IMAGES, "quick_gelu": True}


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    save_open_clip(folder, quick_encoder(), QUICK)
    return {"type": "OpenClip", "model": str(folder)}


def quick_encoder():
    """Return an encoder with OpenAI's activation, the only one that the authors' code has."""
    torch.manual_seed(0)
    return new_open_clip(QUICK, Preparation((16, 16))).eval()


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
        "image_encoder.conv1.weight": quick_encoder().model.visual.conv1.weight.detach().half(),
        "logit_scale": torch.tensor(4.6).half(),
    }
    torch.save({"state_dict": state, **beside()}, path)
    return state


def beside():
    """Return what Dassl's trainer keeps beside the weights: states that have moved, and a NumPy number."""
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], 0.1, momentum=0.9)
    weight.sum().backward()
    optimizer.step()
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 3)
    return {
        "epoch": 50, "optimizer": optimizer.state_dict(), "scheduler": rate.state_dict(),
        "val_result": np.float64(84.97),
    }  # fmt: skip


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
    torch.save({"state_dict": {f"module.{name}": v for name, v in state.items()}, **beside()}, path)
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


def test_prompts_of_another_encoder_are_refused(encoder, tmp_path):
    prompt_src(tmp_path / "model.pth")
    exact = {"type": "OpenClip", "model": str(image_folder(tmp_path / "exact"))}
    other, folder = quick_encoder(), tmp_path / "other"
    with torch.no_grad():
        other.model.visual.conv1.weight.add_(1.0)
    save_open_clip(folder, other, QUICK)
    export_hugging_face(tmp_path / "theirs", other, QUICK)
    differs = (
        {"type": "OpenClip", "model": str(folder)},
        {"type": "HuggingFace", "folder": str(tmp_path / "theirs")},
    )
    for wrong, said in (
        (exact, "has the exact activation"),
        *((one, "patches differ") for one in differs),
    ):
        with pytest.raises(UserError, match=said):
            import_prompts(
                tmp_path / "model.pth",
                tmp_path / "run",
                {"type": "PromptedClip", "encoder": wrong},
                NAMES,
            )
    with pytest.raises(UserError, match="found network VGG for its prompts"):
        import_prompts(tmp_path / "model.pth", tmp_path / "run", {"type": "VGG"}, NAMES)


@pytest.mark.slow
def test_published_prompts_teach_in_a_recipe_after_one_command(encoder, tmp_path):
    prompt_src(tmp_path / "teacher.pth.tar-50")
    prompt_kd(tmp_path / "student.pth.tar-20")
    content = {
        "title": "published prompts",
        "data": {"type": "SyntheticImages", "classes": 3, "samples": 20, "size": 16},
        "split": {"type": "RandomSplit", "validation": 0.2, "test": 0.2},
        "seeds": [0],
        "encoders": {"own": encoder},
        "network": {"type": "DistilledClip", "encoder": "own", "tokens": TOKENS, "vision_depth": 1},
        "train": {"epochs": 1, "batch_size": 4, "select": "last"},
        "distiller": {"refine": {"type": "PerTeacher", "term": "SoftTargets"}},
        "stages": {
            "promptsrc": {
                "network": {"type": "PromptedClip", "encoder": "own"},
                "distiller": {"refine": None, "labels": {"type": "Labels"}},
            },
            "promptkd": {"teachers": ["promptsrc"], "unlabelled": True},
        },
        "baseline": None,
    }
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(content))

    def convert(*arguments):
        return CliRunner().invoke(
            app, ["encoders", "convert", *map(str, arguments), "--data", str(tmp_path / "d")]
        )

    teacher, student = tmp_path / "teacher", tmp_path / "student"
    done = convert(
        tmp_path / "teacher.pth.tar-50", teacher, "--recipe", recipe, "--stage", "promptsrc"
    )
    assert done.exit_code == 0, done.output
    assert f"stages: {{promptsrc: {{run: {teacher}}}}}" in done.output
    done = convert(
        tmp_path / "student.pth.tar-20",
        student,
        "--recipe",
        recipe,
        "--stage",
        "promptkd",
        "--teacher",
        teacher,
    )
    assert done.exit_code == 0, done.output
    content["stages"] = {
        "promptsrc": {"run": str(teacher)},
        "published": {"run": str(student)},
        "promptkd": {"teachers": ["promptsrc"], "unlabelled": True},
        "measured": {
            "network": {
                "type": "PromptedClip", "encoder": "own", "tokens": TOKENS, "vision_depth": 2,
                "text_depth": 1, "frozen_templates": None,
            },
            "start_from": "promptsrc", "train": {"epochs": 0},
            "distiller": {"refine": None, "labels": {"type": "Labels"}},
        },
    }  # fmt: skip
    recipe.write_text(yaml.safe_dump(content))
    ran = CliRunner().invoke(
        app,
        [
            "run",
            str(recipe),
            "--runs",
            str(tmp_path / "runs"),
            "--data",
            str(tmp_path / "d"),
            "--jobs",
            "1",
            "--name",
            "own",
        ],
    )
    assert ran.exit_code == 0, ran.output
    experiment = read_experiment(tmp_path / "runs" / "own")
    (taught,), (measured,) = experiment.of("promptkd"), experiment.of("measured")
    learned, _ = load_network(taught.folder / "best.safetensors")
    known, spec = load_network(teacher / "best.safetensors")
    assert torch.equal(learned.network.class_embeddings(), known.network.class_embeddings())
    assert spec["class_names"] == list(experiment.class_names)
    # What is not trained here has no numbers of its own; a stage that starts from it and trains nothing has.
    assert {hole.stage for hole in experiment.holes} == {"promptsrc", "published"}
    dataset = SyntheticImages(classes=3, samples=20, size=16).load()
    said = measured.predictions("test")
    with torch.no_grad():
        logits = known.on_tensor(torch.from_numpy(dataset.inputs[said.index])).logits
    np.testing.assert_allclose(logits.numpy(), said.logits, atol=1e-3)


def test_a_checkpoint_of_prompts_alone_is_not_enough(encoder, tmp_path):
    prompt_src(tmp_path / "model.pth")
    for arguments, said in (
        ((), "holds prompts, which say nothing without their encoder and classes"),
        (("--recipe", "recipes/cifar10/comkd-clip.yaml"), "--stage: is missing; allowed: "),
        (
            ("--recipe", "recipes/cifar10/comkd-clip.yaml", "--stage", "promptsr"),
            "did you mean 'promptsrc'",
        ),
    ):
        done = CliRunner().invoke(
            app,
            ["encoders", "convert", str(tmp_path / "model.pth"), str(tmp_path / "run"), *arguments],
        )
        assert done.exit_code == 2 and said in done.output, done.output
