"""What a shipped model says of itself: enough to prepare its inputs and to read its outputs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from pydantic import TypeAdapter, ValidationError

from tutelage.data.dataset import in_units
from tutelage.errors import UserError

__all__ = ["KEY", "ModelFacts", "Quantisation"]

KEY = "tutelage"
"""Name of the entry in a file's metadata."""


@dataclass(frozen=True)
class Quantisation:
    """How an int8 file codes numbers: ``real = scale * (code - zero_point)``.

    Args:
        input_scale: in the units of the input.
        input_zero_point: the code of 0.
        output_scale: of the logits.
        output_zero_point: likewise.
    """

    input_scale: float
    input_zero_point: int
    output_scale: float
    output_zero_point: int


@dataclass(frozen=True)
class ModelFacts:
    """What stands in ``model.json`` and in the metadata of every file.

    Args:
        name: of the stage, in the experiment it comes from.
        class_names: one per score, in their order.
        modality: ``signal`` or ``image``.
        channels: names of the channels in their order.
        shape: of one input: [channels, samples], or [3, height, width].
        rate: samples per second (Hz) of signals, else None.
        hop: samples from one window to the next in the data it was tested on, or None.
        crop: the centre of larger inputs that is read; None for all.
        mean: subtracted from each channel; inside the file.
        std: each channel is divided by it; inside the file.
        parameters: of the network.
        macs: multiply-adds of one prediction.
        run: fingerprint of the run.
        data: fingerprint of the data set.
        code: version and commit that trained it.
        quantisation: of an int8 file, else None.
        sha256: name of a file -> its hash; in ``model.json`` alone.
        units: of the channels in their order; empty where the data set does not say them.
    """

    name: str
    class_names: tuple[str, ...]
    modality: str
    channels: tuple[str, ...]
    shape: tuple[int, ...]
    rate: float | None
    hop: int | None
    crop: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    parameters: int
    macs: int
    run: str
    data: str
    code: Mapping[str, Any] = field(default_factory=dict)
    quantisation: Quantisation | None = None
    sha256: Mapping[str, str] = field(default_factory=dict)
    units: tuple[str, ...] = ()

    @property
    def window(self) -> int:
        """Samples of one window of a signal."""
        return self.shape[-1]

    @property
    def step(self) -> float:
        """One step of the scores of an int8 file."""
        assert self.quantisation is not None, "the file is an int8 one"
        return self.quantisation.output_scale

    @property
    def inputs(self) -> str:
        """The channels in their order with their units, for people."""
        return ", ".join(in_units(self.channels, self.units))

    def plain(self) -> dict[str, Any]:
        """Return the facts as JSON holds them."""
        content: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return content

    def metadata(self) -> str:
        """Return the facts as one text for the metadata of a file, with a check that tells an edited one."""
        plain = replace(self, sha256={}).plain()
        return json.dumps({"facts": plain, "check": _check(plain)}, sort_keys=True)

    @classmethod
    def read(cls, content: Any, place: str) -> "ModelFacts":
        """Return the facts that JSON holds.

        Raises:
            UserError: a key is missing or of another type.
        """
        try:
            return _FACTS.validate_python(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(f"{place}: {where}: {first['msg']}") from None

    @classmethod
    def of_metadata(cls, text: str | None, place: str) -> "ModelFacts":
        """Return the facts that a file's metadata hold.

        Raises:
            UserError: there are none, or they were edited.
        """
        try:
            content = json.loads(text or "")
            plain, check = content["facts"], content["check"]
        except (ValueError, KeyError, TypeError):
            raise UserError(
                f"{place}: was not shipped by Tutelage, so classes, channels and rate are not known "
                "(allowed: a file of tutelage ship, or a run folder)"
            ) from None
        if _check(plain) != check:
            raise UserError(f"{place}: its metadata were edited after it was shipped")
        return cls.read(plain, place)


def _check(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()


_FACTS = TypeAdapter(ModelFacts)
