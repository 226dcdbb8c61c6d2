"""The student of a dual encoder: an image tower of its own, the teacher's class embeddings, no text tower."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from tutelage.errors import UserError
from tutelage.models.clip import Clip, unit
from tutelage.models.edu_attention import Attention, EduAttention
from tutelage.models.network import Network, only_teacher
from tutelage.types import Output
from tutelage.vlm.base import EncoderSource, without_texts
from tutelage.vlm.prompts import Prompts


class DistilledClip(Clip):
    """A frozen image tower with learned prompts that predicts in the space of its teacher (PromptKD, ComKD-CLIP).

    A learned projector takes the tower's embedding into the teacher's space, where it is compared with the
    teacher's embeddings of the classes. These and the teacher's scale are taken once, before training; they are
    saved and exported with the student, which needs neither the teacher nor a text tower any more.

    Args:
        class_names: follow from the data.
        encoder: where the dual encoder is whose image tower this is; its text tower is dropped after loading.
        tokens: prompts of a block.
        vision_depth: blocks with prompts; 0: none, only the projector is trained.
        layers: of the projector: linear layers with batch normalisation and ReLU between them, all of the
            teacher's width; 0: none, for a teacher with an embedding as wide as the student's.
        attention: the student's features ask the class embeddings (ComKD-CLIP's EduAttention), in predictions as
            in training, over all classes; null: they do not (PromptKD).
        embed_dim: of the teacher's space; follows from the teacher.

    Shapes:
        [B, ...] -> logits [B, N]; features ``image`` [B, D], the projected embedding of norm 1, which a teacher's
        ``image`` is compared with; ``projected``, the same before its norm; with ``attention`` also
        ``class_attention`` [B, N].

    Raises:
        ValueError: a depth above the tower's blocks, no tokens, or fewer than no layers.
        UserError: the encoder cannot be loaded or prompted; there is not exactly one teacher, or one without class
            embeddings (from :meth:`adopt`); a prediction before there was a teacher.

    Source:
        Li et al. 2024, PromptKD, arXiv:2403.02781, code zhengli97/PromptKD@ec244f7: 4 tokens, depth 9, two 1x1
        convolutions as projector, here linear layers. Chen et al. 2024, ComKD-CLIP, arXiv:2408.04145 (no code).
        Differs: the scale is the teacher's, where their student keeps its own (100 in both published CLIPs);
        class embeddings are computed once, where the code computes them in every step and every test batch; every
        tensor that is missing in a checkpoint is an error.
    """

    vectors: Tensor

    def __init__(
        self,
        class_names: Sequence[str],
        encoder: EncoderSource,
        *,
        tokens: int = 4,
        vision_depth: int = 9,
        layers: int = 2,
        attention: Attention | None = None,
        embed_dim: int | None = None,
    ) -> None:
        if layers < 0:
            raise ValueError(f"layers: {layers}; allowed: at least 0")
        super().__init__(class_names, encoder, without_texts)
        self.layers, self.asks, self.given = layers, attention, embed_dim
        if vision_depth:
            self.vision = Prompts(self.encoder.image_tower(), vision_depth, tokens)
        self._build(embed_dim or self.encoder.embed_dim)
        self.taught = (
            embed_dim is not None
        )  # as a checkpoint says, which brings the class embeddings along

    def _build(self, embed_dim: int) -> None:
        """Make what depends on the teacher's space. The projector comes first: it is the same with attention."""
        own = self.encoder.embed_dim
        if not self.layers and own != embed_dim:
            raise ValueError(
                f"layers: 0, but the teacher's embeddings have {embed_dim} numbers and the student's {own} ("
                "allowed: at least 1)"
            )
        self.embed_dim = embed_dim
        device = next(self.encoder.parameters()).device
        self.projector = _projector(own, embed_dim, self.layers).to(device)
        self.attention = None
        if self.asks is not None:
            self.attention = EduAttention(embed_dim, self.asks).to(device)
        vectors = torch.zeros(len(self.class_names), embed_dim, device=device)
        self.register_buffer("vectors", vectors)
        self.register_buffer("scale", torch.zeros((), device=device))

    def adopt(
        self, teachers: Mapping[str, Network], outputs: Mapping[str, Output]
    ) -> dict[str, Any]:
        """Take the class embeddings and the scale of the one teacher, a :class:`~tutelage.models.clip.Clip`.

        Raises:
            UserError: there is not exactly one such teacher, it knows other classes, or it has another space than
                the one stated.
        """
        wanted = "DistilledClip needs exactly one teacher, whose class embeddings it takes"
        name, teacher = only_teacher(teachers, wanted)
        if not isinstance(teacher, Clip):
            raise UserError(
                f"teacher {name!r} ({type(teacher).__name__}) has no class embeddings (allowed: PromptedClip, "
                "DistilledClip)"
            )
        if teacher.class_names != self.class_names:
            raise UserError(
                f"teacher {name!r} knows the classes {', '.join(teacher.class_names)}, the student "
                f"{', '.join(self.class_names)} (allowed: the same; ask() changes a PromptedClip's)"
            )
        vectors = teacher.class_embeddings().detach()
        if self.given not in (None, vectors.shape[1]):
            raise UserError(
                f"network.embed_dim: {self.given}, but the embeddings of teacher {name!r} have {vectors.shape[1]} "
                "numbers; remove it, for it follows from the teacher"
            )
        if vectors.shape[1] != self.embed_dim:
            try:
                self._build(vectors.shape[1])
            except ValueError as error:
                raise UserError(f"network.{error}") from error
        self.taught = True
        self.vectors.copy_(vectors)
        self.scale.copy_(teacher.scale)
        return {"embed_dim": self.embed_dim}

    def class_embeddings(self) -> Tensor:
        """Return the teacher's unit embedding of every class, [N, D]."""
        return self.vectors

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of images in [0, 1], or of signals in the units of the data."""
        if not self.taught:
            raise UserError(
                "DistilledClip has no class embeddings yet; adopt() takes them of a teacher"
            )
        projected: Tensor = self.projector(self.embedded(self.encoder.prepare(x)))
        features = {"image": unit(projected), "projected": projected}
        if self.attention is None:
            return Output(self.scores(features["image"], self.vectors), features)
        enhanced, features["class_attention"] = self.attention(projected, self.vectors)
        return Output(self.scores(unit(enhanced), self.vectors), features)


def _projector(fan_in: int, fan_out: int, layers: int) -> nn.Sequential:
    parts: list[nn.Module] = []
    for number in range(layers):
        if number:
            parts += [nn.BatchNorm1d(fan_out), nn.ReLU()]
        parts.append(nn.Linear(fan_in if number == 0 else fan_out, fan_out))
    return nn.Sequential(*parts)
