"""A dual encoder that classifies by the names of the classes, with learned prompts in both towers."""

import hashlib
import re
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Literal

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tutelage.errors import UserError, unknown
from tutelage.models.clip import Clip, unit
from tutelage.types import Output
from tutelage.vlm.base import EncoderSource
from tutelage.vlm.open_clip import import_open_clip
from tutelage.vlm.prompts import SPREAD, Prompts

_TOGETHER = 128  # texts encoded at a time where no gradient is wanted
_PUBLISHED = 60  # of OpenAI's 80 templates, those that PromptSRC averages: the first
_PLACEHOLDER = "X"
_AROUND = 3  # tokens of a text that prompts cannot take: start, end, and at least one of the name
_NUMBER = re.compile(
    r" \(n\d{8}\)$"
)  # WordNet's: it tells two classes of ImageNet of one name apart
_OUT = (
    -1e4
)  # score of a class that does not compete: its probability is exactly zero, and finite in bf16


class PromptedClip(Clip):
    """Class scores of a frozen dual encoder: how near an input is to the name of each class.

    Learned prompts (:class:`~tutelage.vlm.prompts.Prompts`) go into the first blocks of both towers, which
    themselves are not changed. Without prompts (both depths 0) this is zero-shot classification; a stage of it has
    nothing to train: ``train: {epochs: 0}``.

    Args:
        class_names: follow from the data; underscores are read as spaces, a number of WordNet's is left out.
        encoder: where the dual encoder is.
        template: text of a class, with ``{}`` where its name goes.
        tokens: prompts of a block. In the text tower they take the place of the words before the name; where the
            template has fewer, placeholders are put in front of it.
        vision_depth: blocks of the tower of images (or signals) with prompts; 0: none.
        text_depth: of the text tower. The first block's prompts begin as the embeddings of the words they replace.
        frozen_templates: of the texts without prompts that :class:`~tutelage.objectives.SelfRegulation` compares
            with, their mean being the class; ``imagenet``: the 60 of PromptSRC; null: no such comparison, which
            saves one pass of the image tower per step.
        text_chunk: texts that keep their activations at a time; of the others these are computed again in the
            backward pass. null: all. With many classes the text tower takes most of the memory.

    Shapes:
        [B, ...] -> logits [B, N], cosines times the encoder's scale; feature ``image`` [B, D] of norm 1. In
        training with ``frozen_templates`` also ``image_frozen`` [B, D], ``text`` and ``text_frozen`` [B, n, D]
        (views: the same for all samples) and ``logits_frozen`` [B, N], where n classes compete.

    Raises:
        ValueError: a depth above the tower's blocks, no tokens, or no texts at a time.
        UserError: the encoder cannot be loaded or prompted, or the template does not fit.

    Source:
        Radford et al. 2021, CLIP, arXiv:2103.00020 (zero-shot); Khattak et al. 2023, PromptSRC, arXiv:2307.06948,
        code muzairkhattak/PromptSRC@bb95c77, whose prompts are these (4 tokens, depth 9, "a photo of a"). Differs:
        texts are encoded once for all evaluation; of more tokens than words those with a word begin as it, where
        the code takes no words. As in the code, the mean of the frozen texts is that of unnormalised embeddings.
    """

    words: Tensor
    kept: Tensor | None
    frozen: Tensor | None
    among: Tensor | None

    def __init__(
        self,
        class_names: Sequence[str],
        encoder: EncoderSource,
        *,
        template: str = "a photo of a {}.",
        tokens: int = 4,
        vision_depth: int = 9,
        text_depth: int = 9,
        frozen_templates: Literal["imagenet"] | Sequence[str] | None = "imagenet",
        text_chunk: int | None = None,
    ) -> None:
        if text_chunk is not None and text_chunk < 1:
            raise ValueError(f"text_chunk: {text_chunk}; allowed: at least 1, or null")
        frozen = _templates(frozen_templates)
        _with_gap("template", [template])
        _with_gap("frozen_templates", frozen or ())
        super().__init__(class_names, encoder)
        self.source, self.template, self.text_chunk = encoder, template, text_chunk
        self.frozen_templates = frozen
        for name in ("kept", "frozen", "among"):
            self.register_buffer(name, None, persistent=False)
        self._kept_for = self._frozen_for = ""
        missing = self._placeholders(tokens) if text_depth else 0
        self._lead = f"{_PLACEHOLDER} " * missing
        self.ask(class_names)
        self.text: Prompts | None = None
        if vision_depth:
            self.vision = Prompts(self.encoder.image_tower(), vision_depth, tokens)
        if text_depth:
            self.text = self._text_prompts(text_depth, tokens, missing)

    def ask(self, class_names: Sequence[str]) -> None:
        """Ask for other classes from now on; what was learned stays.

        Args:
            class_names: N names; all of them compete.

        Raises:
            UserError: two texts are the same as far as the encoder reads them.
        """
        self.class_names = tuple(class_names)
        texts = [self._lead + text for text in self._texts_of(self.template)]
        words = self.encoder.tokenise(texts)
        _, groups = torch.unique(words, dim=0, return_inverse=True)
        first: dict[int, str] = {}
        for text, group in zip(texts, groups.tolist(), strict=True):
            if first.setdefault(group, text) != text:
                raise UserError(
                    f"class_names: {first[group]!r} and {text!r} are one text to the encoder, which reads "
                    f"{words.shape[1]} tokens at most (allowed: shorter names)"
                )
        device = next(self.encoder.parameters()).device
        self.register_buffer("words", words.to(device), persistent=False)
        self.among = None

    def restrict_classes(self, class_names: Sequence[str]) -> None:
        """Let only these classes compete in training, as if the data set had no others; in evaluation all do.

        Raises:
            UserError: a name is not a class.
        """
        for name in class_names:
            if name not in self.class_names:
                raise unknown("network", "class", name, self.class_names)
        numbers = sorted({self.class_names.index(name) for name in class_names})
        every = len(numbers) == len(self.class_names)
        self.among = None if every else torch.tensor(numbers, device=self.words.device)

    def get_extra_state(self) -> Tensor:
        """Return a hash of the texts of the classes, so that the hash of a state is that of its answers."""
        digest = hashlib.sha256(self.words.cpu().numpy().tobytes()).digest()
        return torch.tensor(list(digest), dtype=torch.uint8)

    def set_extra_state(self, state: Tensor) -> None:
        """Take any: what was learned may answer for other classes."""

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """What cosines are multiplied by, a scalar."""
        return self.encoder.logit_scale.detach().float()

    def forward(self, x: Tensor) -> Output:
        """Return logits and features of images in [0, 1], or of signals in the units of the data."""
        x = self.encoder.prepare(x)
        image = unit(self.embedded(x))
        if not self.training:
            return Output(self.scores(image, self.class_embeddings()), {"image": image})
        text = self._learning()
        features = {"image": image}
        if self.frozen_templates is not None:
            features |= self._regulating(x, image, text)
        return Output(self._competing(self.scores(image, text)), features)

    def class_embeddings(self) -> Tensor:
        """Return the unit embedding of every class, with the prompts as they are now, [N, D], without gradient.

        They are computed again when the prompts, the names or the template have changed, and only then.
        """
        state = hashlib.sha256(repr((self.template, self._lead, self.class_names)).encode())
        if self.text is not None:
            state.update(self.text.tokens.detach().float().cpu().numpy().tobytes())
        if self.kept is None or self._kept_for != state.hexdigest():
            with torch.no_grad(), torch.autocast(self.words.device.type, enabled=False):
                parts = [self._say(part) for part in torch.split(self.words, _TOGETHER)]
            self.kept, self._kept_for = unit(torch.cat(parts)), state.hexdigest()
        return self.kept

    def frozen_embeddings(self) -> Tensor:
        """Return what the encoder without prompts says of the competing classes, [n, D], of norm 1.

        The mean over ``frozen_templates`` of their embeddings; computed once.
        """
        competing = (
            self.class_names
            if self.among is None
            else tuple(self.class_names[i] for i in self.among.tolist())
        )
        state = repr((self.frozen_templates, competing))
        if self.frozen is None or self._frozen_for != state:
            total = torch.zeros(len(competing), self.encoder.embed_dim, device=self.words.device)
            with torch.no_grad(), torch.autocast(self.words.device.type, enabled=False):
                for template in self.frozen_templates or ():
                    words = self.encoder.tokenise(self._texts_of(template, competing))
                    for start in range(0, len(words), _TOGETHER):
                        part = words[start : start + _TOGETHER].to(total.device)
                        total[start : start + _TOGETHER] += self.encoder.encode_tokens(part).float()
            self.frozen, self._frozen_for = unit(total), state
        return self.frozen

    def _learning(self) -> Tensor:
        """Return the unit embeddings of the competing classes, with gradient where there are text prompts."""
        rows = slice(None) if self.among is None else self.among
        if self.text is None:
            return self.class_embeddings()[rows]
        words = self.words[rows]
        parts = torch.split(words, self.text_chunk or len(words))
        if len(parts) == 1:
            return unit(self._say(words))
        said = [checkpoint(self._say, part, use_reentrant=False) for part in parts]
        return unit(torch.cat(said))

    def _say(self, words: Tensor) -> Tensor:
        with self.text.within(self.encoder.text_tower()) if self.text else nullcontext():
            return self.encoder.encode_tokens(words)

    def _regulating(self, x: Tensor, image: Tensor, text: Tensor) -> dict[str, Tensor]:
        """Return the features that self-regulation compares."""
        said = self.frozen_embeddings()
        seen = image.detach()
        if self.vision is not None:
            with torch.no_grad():
                seen = unit(self.encoder.encode_inputs(x))
        rows = (len(x), -1, -1)
        return {
            "image_frozen": seen,
            "text": text.expand(*rows),
            "text_frozen": said.expand(*rows),
            "logits_frozen": self._competing(self.scores(seen, said)),
        }

    def _competing(self, scores: Tensor) -> Tensor:
        """Return scores of all classes from those of the competing ones."""
        if self.among is None:
            return scores
        shape = (len(scores), len(self.class_names))
        return scores.new_full(shape, _OUT).index_copy(1, self.among, scores)

    def _texts_of(self, template: str, class_names: Sequence[str] | None = None) -> list[str]:
        names = self.class_names if class_names is None else class_names
        spoken = [_NUMBER.sub("", name).replace("_", " ") for name in names]
        return [template.replace("{}", name) for name in spoken]

    def _placeholders(self, tokens: int) -> int:
        """Return how many words the template lacks in front of the name.

        Raises:
            UserError: texts have no start token, or no room for so many prompts.
        """
        texts = [self.template.replace("{}", one) for one in ("a", "0")]
        words, bare = self.encoder.tokenise(texts), self.encoder.tokenise(["a", "0"])
        if int(bare[0, 0]) != int(bare[1, 0]):
            raise UserError(
                "encoder: its texts begin without a start token, behind which prompts would go (allowed: CLIP's "
                "tokens, or text_depth: 0)"
            )
        most = words.shape[1] - _AROUND
        if tokens > most:
            raise UserError(
                f"tokens: {tokens}; allowed: 1 to {most}, for a text has {words.shape[1]} tokens"
            )
        leading = int((words[0] == words[1]).int().cumprod(dim=0).sum()) - 1
        return max(0, tokens - leading)

    def _text_prompts(self, depth: int, tokens: int, missing: int) -> Prompts:
        tower = self.encoder.text_tower()
        assert tower.words is not None, "a text tower has a vocabulary"
        with torch.no_grad():
            first: Tensor = tower.words(self.words[0, 1 : 1 + tokens]).float()
        if missing:
            first[:missing] = torch.randn(missing, tower.width) * SPREAD
        return Prompts(tower, depth, tokens, first)


def _templates(given: Literal["imagenet"] | Sequence[str] | None) -> tuple[str, ...] | None:
    if given == "imagenet":
        return tuple(one("{}") for one in import_open_clip().OPENAI_IMAGENET_TEMPLATES[:_PUBLISHED])
    if given is not None and not given:
        raise ValueError("frozen_templates: found none; allowed: at least one text, or null")
    return None if given is None else tuple(given)


def _with_gap(name: str, templates: Sequence[str]) -> None:
    for text in templates:
        if "{}" not in text:
            raise UserError(f"{name}: found {text!r}, allowed: a text with {{}}")
