"""A stage that is no network: what a teacher said elsewhere, in files."""

from collections.abc import Container
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from tutelage.errors import UserError, quoted

__all__ = ["StoredAnswers", "check_stored"]


class StoredAnswers(BaseModel):
    """Where they are, and what they are; a bare path is that of the logits."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    logits: str
    embedding: str | None = None
    scale: Literal["logits", "probabilities"] = "logits"

    @model_validator(mode="before")
    @classmethod
    def _path(cls, value: Any) -> Any:
        return {"logits": value} if isinstance(value, str) else value

    def modality(self) -> dict[str, Any]:
        """Return the description of the modality that the stage reads."""
        said = {"path": self.logits, "embedding": self.embedding, "scale": self.scale}
        return {"type": "tutelage.modalities.answers.Answers", **said}


def check_stored(name: str, stage: BaseModel, modalities: Container[str]) -> None:
    """Refuse whatever would be done with a network where there are answers alone.

    Raises:
        UserError: the stage states more than its answers and published numbers, or has a modality's name.
    """
    fields, stated = type(stage).model_fields, stage.model_fields_set - {"stored", "published"}
    values = stage.model_dump()
    used = sorted(key for key in stated if values[key] != fields[key].default)
    if used:
        raise UserError(
            f"stages.{name}.stored: answers are taken as they are; remove {', '.join(used)}"
        )
    if name in modalities:
        raise UserError(
            f"stages.{name}.stored: {quoted(name)} is the name of a modality; give the stage another name"
        )
