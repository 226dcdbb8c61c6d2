"""Where the tokens of a transformer's towers pass by, in the layouts of open_clip and Hugging Face."""

from dataclasses import dataclass

from torch import Tensor, nn

from tutelage.errors import UserError

__all__ = ["Tower", "image_tower", "text_tower", "without_texts"]

# What texts alone need, in both layouts.
_OF_TEXTS = {
    "text", "transformer", "token_embedding", "positional_embedding", "ln_final", "attn_mask", "text_model",
    "text_projection", "logit_scale", "logit_bias",
}  # fmt: skip


@dataclass(frozen=True)
class Tower:
    """Where the tokens of one tower pass by.

    Args:
        blocks: run one after the other on tokens [B, length, width].
        width: of a token.
        start: position of the first prompt, whose tokens the prompts take the place of; None: prompts are put
            behind all other tokens.
        entry: what prompts go through before the first block, as every other token does: a normalisation, or
            None.
        positions: embeddings of the positions, [length, width], added to the prompts of the first block; None
            where prompts have no position.
        words: embeddings of the vocabulary, of a text tower.
    """

    blocks: nn.ModuleList
    width: int
    start: int | None = None
    entry: nn.Module | None = None
    positions: Tensor | None = None
    words: nn.Embedding | None = None


def image_tower(model: nn.Module) -> Tower:
    """Return where prompts go in the tower of images or signals: behind the patches, without a position.

    Args:
        model: of open_clip's or Hugging Face's layout.

    Raises:
        UserError: the tower is no transformer of these layouts, or its answer is not its first token alone.
    """
    for name, below, entry in (
        ("visual", "transformer.resblocks", "ln_pre"),
        ("vision_model", "encoder.layers", "pre_layrnorm"),
    ):
        tower = _part(model, name)
        blocks = _part(tower, below)
        if tower is not None and isinstance(blocks, nn.ModuleList):
            pools = vars(tower).get("pool_type", "tok") != "tok"
            if pools or _part(tower, "attn_pool") is not None:
                raise UserError(
                    "encoder: its image tower pools all tokens, so prompts would enter the answer themselves ("
                    "allowed: a tower that answers with its first token)"
                )
            return Tower(blocks, _width(blocks), entry=_part(tower, entry))
    raise _foreign(model, "inputs", "visual.transformer.resblocks", "vision_model.encoder")


def text_tower(model: nn.Module) -> Tower:
    """Return where prompts go in the text tower: in the place of the words behind the start token.

    Raises:
        UserError: the tower is no transformer of these layouts.
    """
    for tower in (_part(model, "text"), model):
        blocks, words = _part(tower, "transformer.resblocks"), _part(tower, "token_embedding")
        if isinstance(blocks, nn.ModuleList) and isinstance(words, nn.Embedding):
            positions = _own(tower, "positional_embedding")
            return Tower(blocks, _width(blocks), 1, positions=positions, words=words)
    theirs = _part(model, "text_model.embeddings")
    blocks, words = _part(model, "text_model.encoder.layers"), _part(theirs, "token_embedding")
    if isinstance(blocks, nn.ModuleList) and isinstance(words, nn.Embedding):
        positions = _own(_part(theirs, "position_embedding"), "weight")
        return Tower(blocks, _width(blocks), 1, positions=positions, words=words)
    raise _foreign(model, "texts", "transformer.resblocks", "text_model.encoder")


def without_texts(model: nn.Module) -> None:
    """Take away what texts alone need: the text tower and its scale are gone for good.

    Args:
        model: changed in place. Of another layout than open_clip's and Hugging Face's nothing is dropped.
    """
    for names in (model._modules, model._parameters, model._buffers):
        for name in _OF_TEXTS & set(names):
            delattr(model, name)


def _part(module: nn.Module | None, path: str) -> nn.Module | None:
    """Return what lies at a path below a module, if there is such a thing."""
    for name in path.split("."):
        module = None if module is None else module._modules.get(name)
    return module


def _own(module: nn.Module | None, name: str) -> Tensor | None:
    """Return a parameter of a module, if there is such a thing."""
    return None if module is None else module._parameters.get(name)


def _width(blocks: nn.ModuleList) -> int:
    norms = (m for m in blocks.modules() if isinstance(m, nn.LayerNorm))
    return int(next(norms).normalized_shape[0])


def _foreign(model: nn.Module, what: str, *layouts: str) -> UserError:
    allowed = " or ".join(f"model.{layout}" for layout in layouts)
    return UserError(
        f"encoder: {type(model).__name__} has no transformer for {what} that prompts could go into (allowed: "
        f"blocks in {allowed}, or a method that says where they are)"
    )
