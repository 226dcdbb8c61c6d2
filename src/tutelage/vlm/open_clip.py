"""Dual encoders of open_clip: published ones by name, and folders of one's own."""

import hashlib
import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor, nn

from tutelage.errors import UserError, library, one_line
from tutelage.files import is_file
from tutelage.vlm.base import EncoderSource, digest_of, files_of
from tutelage.vlm.pictures import PictureEncoder, Preparation
from tutelage.vlm.weights import read_weights

__all__ = [
    "OpenClip",
    "OpenClipEncoder",
    "has_quick_gelu",
    "import_open_clip",
    "is_of_openai",
    "load_weights",
    "new_open_clip",
    "save_open_clip",
]

_CONFIG = "open_clip_config.json"
_WEIGHTS = "open_clip_model.safetensors"
_OPENAI = {
    "input_resolution",
    "context_length",
    "vocab_size",
}  # what only OpenAI's archives hold besides weights


class OpenClipEncoder(PictureEncoder):
    """A model of open_clip behind the common face.

    Args:
        model: the model; ``visual`` is its image tower, ``transformer`` or ``text`` its text tower.
        tokeniser: texts -> token numbers.
        preparation: of images.
    """

    def _inputs(self, x: Tensor) -> Tensor:
        embeddings: Tensor = self.model.encode_image(x)
        return embeddings

    def _tokens(self, tokens: Tensor) -> Tensor:
        embeddings: Tensor = self.model.encode_text(tokens)
        return embeddings


class OpenClip(EncoderSource):
    """A dual encoder of open_clip.

    Args:
        model: a name that open_clip knows (``ViT-L-14``), ``hf-hub:organisation/name``, or a folder with
            ``open_clip_config.json`` and weights, as open_clip and :func:`save_open_clip` write it.
        weights: with a name: open_clip's tag of published weights (``openai``, ``laion2b_s32b_b82k``; fetched
            once), or a file. Not with a folder or a hub name, which have their own.

    Raises:
        UserError: a name without weights, or a folder with.
    """

    def __init__(self, model: str, weights: str | None = None) -> None:
        self.model, self.weights = model, weights
        own = model.startswith("hf-hub:") or self._folder is not None
        if own and weights is not None:
            raise UserError(f"weights: found {weights!r}, but {model!r} has its own; remove it")
        if not own and weights is None:
            raise UserError(
                f"weights: is missing for {model!r}; allowed: a tag or a file, because an untrained "
                "encoder says nothing (if this is a folder: it is not there, or has no open_clip_config.json)"
            )

    @property
    def _folder(self) -> Path | None:
        folder = Path(self.model)
        return folder if is_file(folder / _CONFIG) else None

    @property
    def _name(self) -> str:
        return self.model if self._folder is None else f"local-dir:{self.model}"

    @property
    def fingerprint(self) -> str:
        """A hash of the folder's files, or of the name and the file of weights; published tags do not change."""
        if self._folder is not None:
            return digest_of(*files_of(self._folder, ".pt", ".pth"))
        file = Path(self.weights or "")
        content = digest_of(file) if is_file(file) else self.weights
        return hashlib.sha256(f"open_clip|{self.model}|{content}".encode()).hexdigest()

    def load(self) -> OpenClipEncoder:
        """Return the encoder, frozen.

        Raises:
            UserError: open_clip is not installed or knows no such model, or the weights do not fit it exactly.
        """
        open_clip = import_open_clip()
        with warnings.catch_warnings():
            # Weights of a network with another activation fit, and answer wrongly.
            warnings.filterwarnings("error", message="QuickGELU mismatch")
            try:
                model = self._model(open_clip)
                tokeniser = open_clip.get_tokenizer(self._name)
            except UserError:
                raise
            except Exception as error:  # other people's files can make it raise nearly anything
                raise UserError(
                    f"encoder: open_clip cannot load {self.model!r}: {one_line(error)}"
                ) from error
        encoder = _encoder(model, tokeniser, open_clip.get_model_preprocess_cfg(model))
        return encoder.eval().requires_grad_(False)

    def _model(self, open_clip: Any) -> nn.Module:
        file = Path(self.weights or "")
        if not is_file(file) or file.suffix in (".npy", ".npz"):  # the latter are Google's own
            loaded: nn.Module = open_clip.create_model(
                self._name, pretrained=self.weights, require_pretrained=True
            )
            return loaded
        state = read_weights(file)
        model: nn.Module = open_clip.create_model(
            self._name, pretrained_image=False, pretrained_text=False
        )
        if is_of_openai(state) and not has_quick_gelu(model):
            raise UserError(
                f"weights: {file} is of OpenAI, trained with another activation than {self.model!r} has (allowed: "
                f"model: {self.model}-quickgelu)"
            )
        load_weights(model, state)
        return model


def is_of_openai(state: Mapping[str, Tensor]) -> bool:
    """Return whether weights are those of an archive of OpenAI, which were trained with QuickGELU."""
    return state.keys() >= _OPENAI


def load_weights(model: Any, state: Mapping[str, Tensor]) -> None:
    """Put published weights into a model of open_clip, all of them and no others.

    Raises:
        RuntimeError: a weight is missing, foreign or of another shape.
    """
    open_clip = import_open_clip()
    kept = {
        name: values
        for name, values in state.items()
        if name not in _OPENAI and not name.endswith("attn_mask")  # computed, not learned
    }
    kept = open_clip.convert.convert_state_dict(model, kept)
    own = model.state_dict()
    if "positional_embedding" in kept.keys() - own.keys():  # with the text tower of an older layout
        kept = open_clip.model.convert_to_custom_text_state_dict(kept)
    for name in {"logit_scale", "logit_bias"} & kept.keys() & own.keys():
        kept[name] = kept[name].reshape(own[name].shape)
    model.load_state_dict(kept)


def has_quick_gelu(model: nn.Module) -> bool:
    """Return whether a model has OpenAI's activation, in open_clip or in transformers."""
    quick = ("QuickGELU", "QuickGELUActivation")
    return any(type(part).__name__ in quick for part in model.modules())


def new_open_clip(config: Mapping[str, Any], preparation: Preparation) -> OpenClipEncoder:
    """Return an untrained encoder to train, built from open_clip's description of a model.

    Args:
        config: ``embed_dim``, ``vision_cfg`` and ``text_cfg``, as in open_clip's own files.
        preparation: of images.
    """
    open_clip = import_open_clip()
    model = open_clip.CLIP(**config)
    length = config["text_cfg"].get("context_length", open_clip.tokenizer.DEFAULT_CONTEXT_LENGTH)
    return OpenClipEncoder(model, open_clip.SimpleTokenizer(context_length=length), preparation)


def save_open_clip(folder: Path, encoder: OpenClipEncoder, config: Mapping[str, Any]) -> None:
    """Write an encoder as open_clip's own folder: :class:`OpenClip` and ``open_clip`` itself read it.

    Args:
        folder: made if absent.
        encoder: the trained encoder.
        config: what it was built from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    kept = encoder.preparation
    about = {
        "model_cfg": dict(config),
        "preprocess_cfg": {
            "size": list(kept.size),
            "mean": list(kept.mean),
            "std": list(kept.std),
            "interpolation": kept.interpolation,
            "resize_mode": kept.resize,
        },
    }
    (folder / _CONFIG).write_text(json.dumps(about, indent=1) + "\n")
    state = {name: value.contiguous() for name, value in encoder.model.state_dict().items()}
    save_file(state, folder / _WEIGHTS)


def import_open_clip() -> Any:
    """Return the module ``open_clip``.

    Raises:
        UserError: it is not installed.
    """
    return library("open_clip", "encoder: OpenClip", "clip")


def _encoder(model: nn.Module, tokeniser: Any, about: Mapping[str, Any]) -> OpenClipEncoder:
    size = about["size"]
    preparation = Preparation(
        (size, size) if isinstance(size, int) else tuple(size),
        about["mean"],
        about["std"],
        about.get("interpolation", "bicubic"),
        about.get("resize_mode", "shortest"),
    )
    return OpenClipEncoder(model, tokeniser, preparation)
