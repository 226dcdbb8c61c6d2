"""Dual encoders of Hugging Face transformers: CLIP models in a folder or on the hub."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from tutelage.errors import UserError, library, one_line
from tutelage.files import is_folder
from tutelage.vlm.base import EncoderSource, digest_of, files_of
from tutelage.vlm.open_clip import OpenClipEncoder, has_quick_gelu
from tutelage.vlm.pictures import PictureEncoder, Preparation

__all__ = ["HuggingFace", "HuggingFaceEncoder", "export_hugging_face"]

_MODES = {2: "bilinear", 3: "bicubic"}  # Pillow's numbers
_BLOCK = {
    "ln_1": "layer_norm1",
    "attn.out_proj": "self_attn.out_proj",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
}  # of a block: open_clip's layer -> theirs


class HuggingFaceEncoder(PictureEncoder):
    """A ``CLIPModel`` behind the common face.

    Args:
        model: the model; ``model.vision_model`` and ``model.text_model`` are its towers.
        tokeniser: theirs.
        preparation: of images.
        length: tokens of a text.
    """

    def __init__(
        self, model: nn.Module, tokeniser: Any, preparation: Preparation, length: int
    ) -> None:
        asked = {"padding": "max_length", "truncation": True, "max_length": length}
        super().__init__(model, partial(tokeniser, return_tensors="pt", **asked), preparation)

    def tokenise(self, texts: Sequence[str]) -> Tensor:
        """Return the token numbers of texts."""
        tokens: Tensor = self.tokeniser(list(texts))["input_ids"]
        return tokens

    # The towers and projections by themselves: what ``get_image_features`` returns depends on the version.
    def _inputs(self, x: Tensor) -> Tensor:
        model: Any = self.model
        found: Tensor = model.visual_projection(model.vision_model(pixel_values=x).pooler_output)
        return found

    def _tokens(self, tokens: Tensor) -> Tensor:
        model: Any = self.model
        found: Tensor = model.text_projection(model.text_model(input_ids=tokens).pooler_output)
        return found


class HuggingFace(EncoderSource):
    """A CLIP model of Hugging Face.

    Args:
        folder: with ``config.json``, weights, tokeniser and ``preprocessor_config.json``, as ``save_pretrained``
            writes them; or a name on the hub, fetched once.
    """

    def __init__(self, folder: str) -> None:
        self.folder = folder

    @property
    def fingerprint(self) -> str:
        """A hash of the folder's files, or of the hub name."""
        folder = Path(self.folder)
        if is_folder(folder):
            return digest_of(*files_of(folder)) + _own_edge(folder)
        return hashlib.sha256(f"hugging_face|{self.folder}".encode()).hexdigest()

    def load(self) -> HuggingFaceEncoder:
        """Return the encoder, frozen.

        Raises:
            UserError: transformers is not installed, something is missing in the folder, or a weight is.
        """
        transformers = library("transformers", "encoder: HuggingFace", "clip")
        try:
            model, found = transformers.CLIPModel.from_pretrained(
                self.folder, output_loading_info=True
            )
            tokeniser = transformers.AutoTokenizer.from_pretrained(self.folder)
            images = transformers.AutoImageProcessor.from_pretrained(self.folder)
        except Exception as error:  # other people's files can make it raise nearly anything
            raise UserError(
                f"encoder: transformers cannot load {self.folder!r}: {one_line(error)}"
            ) from error
        self._refuse_gaps(found)
        length = int(model.config.text_config.max_position_embeddings)
        encoder = HuggingFaceEncoder(model.float(), tokeniser, _preparation(images), length)
        return encoder.eval().requires_grad_(False)

    def _refuse_gaps(self, found: Mapping[str, Any]) -> None:
        """Refuse what transformers would fill with random numbers."""
        for what in ("missing_keys", "mismatched_keys", "unexpected_keys"):
            # Numbers of positions were stored by old versions; they are no weights.
            names = [str(name) for name in found[what] if not str(name).endswith("position_ids")]
            if names:
                raise UserError(
                    f"encoder: the weights in {self.folder!r} are not those of the model it describes "
                    f"({what.replace('_', ' ')}: {', '.join(sorted(names)[:3])}, {len(names)} in all)"
                )


def export_hugging_face(folder: Path, encoder: OpenClipEncoder, config: Mapping[str, Any]) -> None:
    """Write an encoder of open_clip as a Hugging Face ``CLIPModel`` with tokeniser and image processor.

    Args:
        folder: made if absent.
        encoder: a plain CLIP with a vision transformer.
        config: what it was built from.
    """
    transformers = library("transformers", "encoder: HuggingFace", "clip")
    vision, text = config["vision_cfg"], config["text_cfg"]
    vocabulary = encoder.tokeniser.encoder
    end = vocabulary["<end_of_text>"]
    activation = "quick_gelu" if has_quick_gelu(encoder.model) else "gelu"
    shape = {
        "vision_config": {
            "hidden_size": vision["width"], "intermediate_size": int(vision.get("mlp_ratio", 4) * vision["width"]),
            "num_hidden_layers": vision["layers"],
            "num_attention_heads": vision["width"] // vision.get("head_width", 64),
            "image_size": vision["image_size"], "patch_size": vision["patch_size"],
            "hidden_act": activation, "projection_dim": config["embed_dim"],
        },
        "text_config": {
            "hidden_size": text["width"], "intermediate_size": int(text.get("mlp_ratio", 4) * text["width"]),
            "num_hidden_layers": text["layers"], "num_attention_heads": text["heads"],
            "max_position_embeddings": text["context_length"], "vocab_size": text["vocab_size"],
            "hidden_act": activation, "projection_dim": config["embed_dim"],
            "bos_token_id": vocabulary["<start_of_text>"], "eos_token_id": end, "pad_token_id": end,
        },
        "projection_dim": config["embed_dim"],
    }  # fmt: skip
    model = transformers.CLIPModel(transformers.CLIPConfig(**shape))
    state = dict(_renamed(encoder.model.state_dict()))
    wanted = {name for name, _ in model.named_parameters()}
    if wanted != state.keys():
        other = sorted(wanted ^ state.keys())
        raise UserError(
            f"encoder: only a plain CLIP can be exported (differs: {', '.join(other[:3])})"
        )
    model.load_state_dict(state, strict=False)  # buffers that only count positions are not in it
    model.save_pretrained(folder)
    _tokeniser(encoder).save_pretrained(folder)
    kept = encoder.preparation
    whole, cuts = dict(zip(("height", "width"), kept.size, strict=True)), kept.resize == "shortest"
    transformers.CLIPImageProcessor(
        size={"shortest_edge": kept.edge or max(kept.size)} if cuts else whole,
        crop_size=whole, do_center_crop=cuts,
        resample=next(number for number, mode in _MODES.items() if mode == kept.interpolation),
        image_mean=list(kept.mean), image_std=list(kept.std),
    ).save_pretrained(folder)  # fmt: skip


def _renamed(state: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield the weights of an open_clip model under their names in transformers."""
    yield "logit_scale", state["logit_scale"]
    yield "visual_projection.weight", state["visual.proj"].T
    yield "text_projection.weight", state["text_projection"].T
    vision, text = "vision_model.", "text_model."
    yield vision + "embeddings.class_embedding", state["visual.class_embedding"]
    yield vision + "embeddings.patch_embedding.weight", state["visual.conv1.weight"]
    yield vision + "embeddings.position_embedding.weight", state["visual.positional_embedding"]
    yield text + "embeddings.token_embedding.weight", state["token_embedding.weight"]
    yield text + "embeddings.position_embedding.weight", state["positional_embedding"]
    for old, new in (
        ("visual.ln_pre", vision + "pre_layrnorm"),
        ("visual.ln_post", vision + "post_layernorm"),
        ("ln_final", text + "final_layer_norm"),
    ):
        for kind in ("weight", "bias"):
            yield f"{new}.{kind}", state[f"{old}.{kind}"]
    for old, new in (("visual.transformer", vision), ("transformer", text)):
        norms = [
            n for n in state if n.startswith(f"{old}.resblocks.") and n.endswith("ln_1.weight")
        ]
        for i in range(len(norms)):
            yield from _block(state, f"{old}.resblocks.{i}.", f"{new}encoder.layers.{i}.")


def _block(state: Mapping[str, Tensor], old: str, new: str) -> Iterator[tuple[str, Tensor]]:
    for kind in ("weight", "bias"):
        for theirs, ours in _BLOCK.items():
            yield f"{new}{ours}.{kind}", state[f"{old}{theirs}.{kind}"]
        parts = state[f"{old}attn.in_proj_{kind}"].chunk(3)
        for name, part in zip("qkv", parts, strict=True):
            yield f"{new}self_attn.{name}_proj.{kind}", part


def _tokeniser(encoder: OpenClipEncoder) -> Any:
    transformers = library("transformers", "encoder: HuggingFace", "clip")
    other = {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}
    kept = encoder.tokeniser
    return transformers.CLIPTokenizer(
        vocab={other.get(word, word): number for word, number in kept.encoder.items()},
        merges=list(kept.bpe_ranks),
        model_max_length=kept.context_length,
    )


def _preparation(images: Any) -> Preparation:
    """Return the image processor's settings as ours.

    Raises:
        UserError: it leaves out a step, or resizes in a way that is not ours.
    """
    about = images.to_dict()
    if not all(about[f"do_{step}"] for step in ("resize", "rescale", "normalize")):
        raise UserError(
            "encoder: the image processor leaves out a step (allowed: resize, rescale, normalise)"
        )
    cuts, size = about.get("do_center_crop"), about["size"]
    edge, crop = size.get("shortest_edge"), about["crop_size"] if cuts else size
    if not (cuts if edge else crop == size):
        raise UserError(
            f"encoder: the image processor resizes to {size} and cuts out {crop if cuts else 'nothing'} ("
            "allowed: a shortest edge and a centre, or height and width alone)"
        )
    return Preparation(
        (int(crop["height"]), int(crop["width"])),
        tuple(about["image_mean"]),
        tuple(about["image_std"]),
        _MODES.get(int(about["resample"]), str(about["resample"])),
        "shortest" if edge else "squash",
        edge,
        "down",
    )


def _own_edge(folder: Path) -> str:
    """Return the shorter side of images where it is not what is cut out of them; else nothing."""
    try:
        about = json.loads((folder / "preprocessor_config.json").read_text())
        edge, crop = about["size"]["shortest_edge"], about["crop_size"]
        return "" if {edge} == {*crop.values()} else f"|shorter side {edge}"
    except (OSError, ValueError, KeyError, TypeError, AttributeError):  # load() says what is wrong
        return ""
