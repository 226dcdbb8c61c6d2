"""Prompts held back by what the model said without them."""

from torch import Tensor

from tutelage import losses
from tutelage.errors import within
from tutelage.objectives.base import Judged, TracedObjective
from tutelage.types import Output, View

_READ = ("image", "image_frozen", "text", "text_frozen", "logits_frozen")


class SelfRegulation(TracedObjective):
    """What prompts change must stay small: the three regularisers of PromptSRC, added up with their weights.

    Image features, text features and class probabilities with prompts are compared with those without, of the same
    inputs. Next to it stands the cross entropy with the labels (:class:`~tutelage.objectives.Labels`).

    Args:
        text: weight of the mean absolute difference of class embeddings, over n classes and D channels; every
            sample has the same share.
        image: of that of image embeddings, over D channels.
        logits: of the divergence of class probabilities, KL(without prompts || with), divided by n.

    Shapes:
        student logits and feature ``logits_frozen`` [B, N], features ``image`` and ``image_frozen`` [B, D],
        ``text`` and ``text_frozen`` [B, n, D] -> [B].

    Raises:
        ValueError: a weight below 0, or a student without these features.

    Source:
        Khattak et al. 2023, PromptSRC, arXiv:2307.06948, eq. 3 to 5; code muzairkhattak/PromptSRC@bb95c77, which
        publishes 25, 10 and 1 for all data sets, for these reductions: its divergence is divided by all B n
        scores, so that it is n times weaker than the KL of other methods.
    """

    def __init__(self, text: float = 25.0, image: float = 10.0, logits: float = 1.0) -> None:
        super().__init__()
        self.weights = {"text": text, "image": image, "logits": logits}
        within("[0, inf)", **self.weights)

    def judge(self, view: View) -> Judged:
        """Return the loss, and the three differences before their weights."""
        features = view.student.features
        missing = [name for name in _READ if name not in features]
        if missing:
            raise ValueError(
                f"the student has no feature {missing[0]!r} (allowed: PromptedClip with frozen_templates, in "
                "training)"
            )
        parts = {
            "text": losses.mean_absolute(features["text"], features["text_frozen"]),
            "image": losses.mean_absolute(features["image"], features["image_frozen"]),
            "logits": _divergence(view.student),
        }
        loss: Tensor = sum(self.weights[name] * part for name, part in parts.items())  # type: ignore[assignment]
        return Judged(loss, {name: part.detach() for name, part in parts.items()})


def _divergence(student: Output) -> Tensor:
    classes = student.features["text"].shape[1]
    frozen = student.features["logits_frozen"]
    return losses.soft_targets(student.logits, frozen, temperature=1.0) / classes
