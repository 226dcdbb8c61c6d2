"""A network that repeats what was said elsewhere."""

from typing import final

from torch import Tensor

from tutelage.errors import UserError
from tutelage.models.network import Network
from tutelage.types import Output


@final
class Answered(Network):
    """Reads the logits of a sample, and its embedding after them, and says just that; nothing is learned.

    It is the network of a stage with ``stored``, whose input are the :class:`~tutelage.modalities.answers.Answers`
    of a teacher that was asked elsewhere.

    Args:
        channels: C + D numbers of a sample.
        classes: C.

    Shapes:
        [B, C + D] -> logits [B, C]; feature ``embedding`` [B, D] where D > 0.

    Raises:
        UserError: there are fewer numbers than classes.
    """

    as_is = True

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        if channels < classes:
            raise UserError(
                f"Answered: reads {channels} numbers of a sample (allowed: {classes} or more, the logits of "
                f"all classes)"
            )
        self.classes = classes

    def forward(self, x: Tensor) -> Output:
        """Return the logits and the embedding."""
        logits, embedding = x[:, : self.classes], x[:, self.classes :]
        return Output(logits, {"embedding": embedding} if embedding.shape[1] else {})
