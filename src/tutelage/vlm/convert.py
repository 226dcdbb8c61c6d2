"""Published dual encoders, converted once: safetensors and a description, as open_clip itself writes them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from tutelage.errors import UserError, one_line
from tutelage.vlm.open_clip import (
    OpenClip,
    OpenClipEncoder,
    has_quick_gelu,
    import_open_clip,
    is_of_openai,
    load_weights,
    new_open_clip,
    save_open_clip,
)
from tutelage.vlm.pictures import Preparation
from tutelage.vlm.weights import read_weights

__all__ = ["Converted", "convert_encoder"]

_HEAD = 64  # numbers of an attention head of every CLIP of OpenAI


@dataclass(frozen=True)
class Converted:
    """What was written.

    Args:
        size: height and width of the images it reads, in pixels.
        embed_dim: of its space.
        quick_gelu: whether it has OpenAI's activation, or the exact one.
    """

    size: tuple[int, int]
    embed_dim: int
    quick_gelu: bool


def convert_encoder(source: Path, folder: Path, model: str | None = None) -> Converted:
    """Write published weights as a folder that ``{type: OpenClip, model: folder}`` takes.

    An archive of OpenAI says by its shapes what it is of, and has QuickGELU. Shapes of any other file do not tell
    how many heads there are nor which activation: there the model is named, and has QuickGELU where open_clip's
    description of that name has it.

    Args:
        source: as for :func:`~tutelage.vlm.weights.read_weights`; nothing of it is run.
        folder: made if absent.
        model: open_clip's name, such as ``ViT-B-16``; None for an archive of OpenAI.

    Raises:
        UserError: the file cannot be read, or is not of this model.
    """
    open_clip = import_open_clip()
    if model is None:
        encoder, config = _of_openai(source)
    else:
        encoder = OpenClip(model, str(source)).load()
        config = open_clip.get_model_config(model)
    save_open_clip(folder, encoder, config)
    return Converted(encoder.preparation.size, encoder.embed_dim, has_quick_gelu(encoder.model))


def _of_openai(source: Path) -> tuple[OpenClipEncoder, dict[str, Any]]:
    state = read_weights(source)
    if not is_of_openai(state):
        raise UserError(
            f"{source}: is no archive of OpenAI, and shapes tell neither heads nor activation (allowed: --model "
            "and open_clip's name of it, such as ViT-B-16)"
        )
    try:
        config = _described(state)
        size = config["vision_cfg"]["image_size"]
        encoder = new_open_clip(config, Preparation((size, size)))
        load_weights(encoder.model, state)
    except (KeyError, RuntimeError, IndexError, ValueError) as error:
        raise UserError(f"{source}: is no CLIP of OpenAI ({one_line(error)})") from error
    return encoder, config


def _described(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """Return open_clip's description of an archive of OpenAI, whose shapes tell everything but its head width."""
    width, length = state["ln_final.weight"].shape[0], state["positional_embedding"].shape[0]
    text = {
        "context_length": length, "vocab_size": state["token_embedding.weight"].shape[0], "width": width,
        "heads": width // _HEAD, "layers": _blocks(state, "transformer.resblocks."),
    }  # fmt: skip
    vision = _transformer(state) if "visual.proj" in state else _convolutions(state)
    return {
        "embed_dim": state["text_projection"].shape[1],
        "quick_gelu": True,
        "vision_cfg": vision,
        "text_cfg": text,
    }


def _transformer(state: Mapping[str, Tensor]) -> dict[str, Any]:
    width, _, patch, _ = state["visual.conv1.weight"].shape
    side = round((state["visual.positional_embedding"].shape[0] - 1) ** 0.5)
    blocks = _blocks(state, "visual.transformer.resblocks.")
    return {
        "image_size": patch * side,
        "layers": blocks,
        "width": width,
        "head_width": _HEAD,
        "patch_size": patch,
    }


def _convolutions(state: Mapping[str, Tensor]) -> dict[str, Any]:
    stages = [_blocks(state, f"visual.layer{i}.") for i in range(1, 5)]
    side = round((state["visual.attnpool.positional_embedding"].shape[0] - 1) ** 0.5)
    width = state["visual.layer1.0.conv1.weight"].shape[0]
    return {"image_size": 32 * side, "layers": stages, "width": width, "head_width": _HEAD}


def _blocks(state: Mapping[str, Tensor], under: str) -> int:
    """Return how many numbered parts there are below a name."""
    return len({name[len(under) :].partition(".")[0] for name in state if name.startswith(under)})
