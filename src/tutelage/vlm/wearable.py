"""Encoders of wearables that others have trained: plain PyTorch weights, and what they read."""

import hashlib
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NoReturn

import torch
from torch import Tensor, nn

from tutelage.errors import UserError, quoted
from tutelage.types import Output
from tutelage.vlm.base import DualEncoder, EncoderSource, digest_of
from tutelage.vlm.door import Door, Reads, Units
from tutelage.vlm.weights import read_weights

__all__ = ["TrainedEncoder", "WearableEncoder"]

Gives = Literal["embedding", "logits", "both"]


class TrainedEncoder(DualEncoder):
    """A trained network of signals behind the face of dual encoders; it knows no texts.

    Args:
        model: the network, frozen.
        door: what stands before it.
        gives: what of its answer is taken.
        order: columns of its logits in the order of the data's classes; none to take no logits.
        shape: one input of the data, to find the size of an answer.
    """

    modality = "signal"

    def __init__(self, model: nn.Module, door: Door, gives: Gives, order: Sequence[int]) -> None:
        super().__init__()
        self.model, self.door, self.gives, self.order = model, door, gives, list(order)
        length = door.reads.length or round(10 * door.reads.rate)
        self.input_shape = (len(door.reads.channels), length)
        with torch.no_grad():
            self.embed_dim = self._inputs(torch.zeros(1, *self.input_shape)).shape[1]

    def prepare(self, x: Tensor) -> Tensor:
        """Return signals as the network wants them: its channels, units, rate, length and standardisation."""
        return self.door(x)

    def _inputs(self, x: Tensor) -> Tensor:
        embedding, logits = _parts(self.model(x), self.gives)
        taken = []
        if logits is not None:
            if logits.shape[1] != len(self.order):
                raise UserError(
                    f"classes: {len(self.order)} names, but the network gives {logits.shape[1]} logits"
                )
            taken.append(logits[:, self.order])
        if embedding is not None:
            taken.append(embedding)
        return torch.cat(taken, dim=1)

    def tokenise(self, texts: Sequence[str]) -> NoReturn:
        """Refuse texts."""
        raise UserError(
            "encoder: WearableEncoder reads signals alone (allowed: an encoder of texts)"
        )

    def _tokens(self, tokens: Tensor) -> NoReturn:
        self.tokenise(())


class WearableEncoder(EncoderSource):
    """A network that others have trained on signals: its weights, its layers, and what it was trained on.

    What it says of a window is a modality, made once: an embedding for a ``LinearProbe``, or the logits of its own
    classes for ``Answered``.

    Args:
        network: its layers; of a package of yours, or one of :mod:`tutelage.models`, with every argument.
        weights: ``.safetensors``, or an archive of ``torch.save``, of which nothing is run.
        reads: what it was trained on.
        units: of the data's channels that it reads, in the order of ``reads.channels``; or one for all.
        gives: ``embedding``: the feature of that name, or whatever a plain module returns; ``logits``; or
            ``both``, the logits first.
        classes: names of its own classes in the order of its logits; the same as the data's, in any order.
        under: names of weights begin so; others in the file are left aside, and this part of the name is.
        rate: of the data (Hz); follows from them.
        channel_names: of the data; follow from them.
        class_names: of the data; follow from them.

    Raises:
        UserError: channels, units, rates or classes do not fit.
    """

    def __init__(
        self,
        network: nn.Module,
        weights: str,
        reads: Reads,
        units: Units,
        *,
        gives: Gives = "embedding",
        classes: list[str] | None = None,
        under: str = "",
        rate: float | None = None,
        channel_names: list[str] | None = None,
        class_names: list[str] | None = None,
    ) -> None:
        self.network, self.weights, self.reads, self.units = network, weights, reads, units
        self.gives, self.classes, self.under = gives, classes, under
        self.rate, self.channel_names = rate, list(channel_names or reads.channels)
        self.class_names = list(class_names or classes or ())
        self.door = Door(reads, units, rate, self.channel_names)
        self.order = [] if gives == "embedding" else self._order()

    def _order(self) -> list[int]:
        own = self.classes or []
        if set(own) != set(self.class_names) or len(set(own)) != len(own) or not own:
            odd = sorted(set(own) ^ set(self.class_names))
            raise UserError(
                f"classes: found {quoted(own)}; logits of other classes say nothing of these (allowed: the data's "
                f"{len(self.class_names)} names in the order of the logits"
                + (f"; differs: {', '.join(odd[:3])})" if odd else ")")
            )
        return [own.index(name) for name in self.class_names]

    @property
    def fingerprint(self) -> str:
        """Hash of layers, weights, preparation and what is taken."""
        about: list[Any] = [
            f"{type(self.network).__module__}.{type(self.network).__qualname__}", str(self.network),
            digest_of(Path(self.weights)), asdict(self.reads), self.units, self.gives, self.order, self.under,
            self.rate, self.channel_names,
        ]  # fmt: skip
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()

    def load(self) -> TrainedEncoder:
        """Return the encoder, frozen.

        Raises:
            UserError: a weight is missing, foreign or of another shape, or the network gives something else.
        """
        model = deepcopy(self.network)
        found = read_weights(Path(self.weights))
        state = {
            k.removeprefix(self.under): v for k, v in found.items() if k.startswith(self.under)
        }
        _fill(model, state, self.weights)
        model.eval().requires_grad_(False)
        return TrainedEncoder(model, self.door, self.gives, self.order)


def _fill(model: nn.Module, state: dict[str, Tensor], path: str) -> None:
    """Take weights, all of them and no others."""
    own = model.state_dict()
    wrong = {
        n for n in own if n not in state or own[n].shape != state[n].shape
    } | state.keys() - own.keys()
    # Batches that were counted decide nothing.
    wrong = {name for name in wrong if not name.endswith("num_batches_tracked")}
    if wrong:
        raise UserError(
            f"weights: {path} does not fit {type(model).__name__} exactly (differs: "
            f"{', '.join(sorted(wrong)[:3])})"
        )
    model.load_state_dict({n: v for n, v in state.items() if n in own}, strict=False)


def _parts(answer: Any, gives: Gives) -> tuple[Tensor | None, Tensor | None]:
    """Return embedding and logits of a network's answer, those that are wanted."""
    if isinstance(answer, Output):
        embedding, logits = answer.features.get("embedding"), answer.logits
    elif isinstance(answer, Tensor) and gives != "both":
        embedding, logits = answer, answer
    else:
        raise UserError(
            f"network: gives {type(answer).__name__} (allowed: one tensor, of an embedding or of logits; or "
            "tutelage.types.Output)"
        )
    wanted = (None if gives == "logits" else embedding, None if gives == "embedding" else logits)
    if gives != "logits" and embedding is None:
        raise UserError("network: has no feature 'embedding' (allowed: gives: logits)")
    for part in wanted:
        if part is not None and part.ndim != 2:
            raise UserError(f"network: gives {list(part.shape)} (allowed: [B, D])")
    return wanted
