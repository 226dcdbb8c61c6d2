"""Prompts that their authors published, converted once into a network that a recipe can name."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tutelage.errors import UserError
from tutelage.models.clip import Clip
from tutelage.recipe.networks import kind_of_network, load_network, make_network, save_network
from tutelage.vlm.open_clip import has_quick_gelu
from tutelage.vlm.weights import read_weights

__all__ = ["has_prompts", "import_prompts", "read_prompts"]

_FIRST = {"vision.tokens": "image_encoder.VPT", "text.tokens": "prompt_learner.ctx"}
_DEEPER = "{}_encoder.transformer.resblocks.{}.VPT_shallow"
_PROJECTOR = "VPT_image_trans.conv1."


def read_prompts(path: Path) -> dict[str, Tensor]:
    """Return what a checkpoint of PromptSRC or PromptKD has learned, under the names it has here.

    Args:
        path: such as ``model.pth.tar-20``; nothing of it is run, and the encoder in it is left aside.

    Returns:
        ``vision.tokens`` and ``text.tokens``, [depth, tokens, width] each, and ``projector.*``, in float32.

    Raises:
        UserError: the file cannot be read, or holds no such prompts.

    Source:
        muzairkhattak/PromptSRC@bb95c77 (``clip/model.py``, ``trainers/promptsrc.py``) and
        zhengli97/PromptKD@ec244f7 (``trainers/promptkd.py``), whose 1x1 convolutions are linear layers here.
    """
    return _learned(path, read_weights(path))


def has_prompts(state: Mapping[str, Tensor]) -> bool:
    """Return whether weights are a checkpoint of PromptSRC or PromptKD."""
    return any(first in state for first in _FIRST.values())


def _learned(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    learned = {}
    for name, first in _FIRST.items():
        side = "image" if name.startswith("vision") else "text"
        rows = [state[first]] if first in state else []
        while rows and (key := _DEEPER.format(side, len(rows))) in state:
            rows.append(state[key])
        if rows:
            learned[name] = torch.stack(rows).float()
    if not learned:
        raise UserError(
            f"{path}: holds no prompts (allowed: a checkpoint of PromptSRC or PromptKD, with "
            f"{' or '.join(_FIRST.values())})"
        )
    for name, values in state.items():
        if name.startswith(_PROJECTOR):
            flat = values.flatten(1) if values.ndim == 4 else values
            kept = flat.float() if flat.is_floating_point() else flat
            learned[f"projector.{name.removeprefix(_PROJECTOR)}"] = kept
    return learned


def import_prompts(
    source: Path,
    folder: Path,
    network: Mapping[str, Any],
    class_names: Sequence[str],
    *,
    teacher: Path | None = None,
    size: int = 224,
    top: float = 255.0,
) -> None:
    """Write a checkpoint of PromptSRC or PromptKD as a network that ``run: folder`` takes.

    Args:
        source: the checkpoint.
        folder: made if absent; gets ``best.safetensors``.
        network: ``{type: PromptedClip, encoder: ...}`` for PromptSRC, ``{type: DistilledClip, encoder: ...}`` for
            PromptKD; how many prompts there are, and how deep, follows from the checkpoint.
        class_names: of the data set it was trained on.
        teacher: of PromptKD, a folder written before: the student predicts with its class embeddings.
        size: pixels per side of the images.
        top: largest value that images are stored with: 255, or 1.

    Raises:
        UserError: the checkpoint cannot be read, was trained in another encoder, or does not fit the network.
    """
    weights = read_weights(source)
    learned = _learned(source, weights)
    if not issubclass(kind_of_network(network, str(source))[0], Clip):
        raise UserError(
            f"{source}: found network {network['type']} for its prompts, allowed are PromptedClip and "
            "DistilledClip"
        )
    vision, text = (learned.get(name) for name in _FIRST)
    description = dict(network) | {"vision_depth": 0 if vision is None else len(vision)}
    description["tokens"] = next(t for t in (vision, text) if t is not None).shape[1]
    if teacher is None:
        description |= {"text_depth": 0 if text is None else len(text), "frozen_templates": None}
    else:
        linear = [name for name in learned if name.endswith("weight") and learned[name].ndim == 2]
        description["layers"] = len(linear)
    spec: dict[str, Any] = {
        "network": description, "modality": "image", "input_shape": [3, size, size],
        "class_names": list(class_names),
    }  # fmt: skip
    statistics = torch.zeros(3), torch.full((3,), top)
    made = make_network(
        description, place=str(source), modality="image", input_shape=spec["input_shape"],
        class_names=class_names, statistics=statistics, seed=0,
    )  # fmt: skip
    assert isinstance(made.network, Clip)
    _refuse_other_encoder(source, weights, made.network)
    if teacher is not None:
        owner, _ = load_network(teacher / "best.safetensors")
        description |= made.network.adopt({teacher.name: owner.network}, {})
    state = made.network.state_dict()
    own = {name for name in state if name.startswith(("vision.", "text.", "projector."))}
    wrong = own ^ learned.keys() | {
        n for n in own & learned.keys() if state[n].shape != learned[n].shape
    }
    if wrong:
        raise UserError(
            f"{source}: does not fit {description['type']} on this encoder (differs: "
            f"{', '.join(sorted(wrong)[:3])})"
        )
    made.network.load_state_dict(state | learned)
    folder.mkdir(parents=True, exist_ok=True)
    save_network(folder / "best.safetensors", made, spec)


def _refuse_other_encoder(source: Path, weights: Mapping[str, Tensor], network: Clip) -> None:
    """Refuse prompts of one encoder in another one of the same shapes, where they say nothing.

    Both codes know OpenAI's activation alone, and keep the encoder beside the prompts: its first layer is
    compared.
    """
    if not has_quick_gelu(network.encoder):
        raise UserError(
            f"{source}: its prompts were trained in a CLIP with QuickGELU, and the encoder named for them has the "
            "exact activation (allowed: OpenAI's weights, a model whose name ends in -quickgelu)"
        )
    theirs = weights.get("image_encoder.conv1.weight")
    for name, own in network.encoder.named_parameters():
        first = name.endswith(("visual.conv1.weight", "embeddings.patch_embedding.weight"))
        if first and theirs is not None and not _same(own, theirs):
            raise UserError(
                f"{source}: its prompts were trained in another encoder than the one named for them (the weights "
                "of the patches differ; allowed: the encoder it was trained in)"
            )


def _same(one: Tensor, other: Tensor) -> bool:
    """Return whether weights are equal in half precision."""
    return one.shape == other.shape and torch.equal(one.half().cpu(), other.half().cpu())
