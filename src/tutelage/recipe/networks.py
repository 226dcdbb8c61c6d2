"""Networks from a recipe and back from a checkpoint."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, NotRequired

import torch
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor, nn
from typing_extensions import TypedDict

from tutelage import checkpoint
from tutelage.errors import UserError, quoted
from tutelage.models import Network, On, network_class
from tutelage.recipe.instantiate import build, convert, described, own_classes
from tutelage.seeds import derive
from tutelage.vlm import EncoderSource

__all__ = [
    "content_of",
    "kind_of_network",
    "load_network",
    "make_network",
    "reads_as_is",
    "save_network",
]


def make_network(
    description: Mapping[str, Any],
    *,
    place: str,
    modality: str,
    input_shape: Sequence[int],
    class_names: Sequence[str],
    statistics: tuple[Tensor, Tensor],
    seed: int,
    crop: int | None = None,
    concept_names: Mapping[str, Sequence[str]] | None = None,
    encoder: EncoderSource | None = None,
) -> On:
    """Build a network on one modality, initialised from the run's seed.

    Args:
        description: ``{type: WideResNet, depth: 16, ...}``; channels, classes and dimensions follow from the data.
        place: where in the recipe, for errors.
        modality: name of the input.
        input_shape: one sample without the batch axis: (channels, time) or (channels, height, width).
        class_names: one per output.
        statistics: mean and standard deviation per channel of the training split.
        seed: of the run.
        crop: larger inputs are cut to their centre, see :class:`~tutelage.models.On`.
        concept_names: what the data set annotates, by scope.
        encoder: the dual encoder that makes the input, where one does.

    Raises:
        UserError: the description is wrong.
    """
    given = {
        "channels": input_shape[0],
        "classes": len(class_names),
        "class_names": list(class_names),
        "dimensions": len(input_shape) - 1,
        "shape": [input_shape[0], *(min(n, crop or n) for n in input_shape[1:])],
        "concept_names": concept_names or {},
    } | ({} if encoder is None else {"encoder": encoder})
    torch.manual_seed(derive(seed, "init"))
    network = build("tutelage.models", description, place, base=nn.Module, given=given)
    on = On(modality, network, *statistics, crop)
    return on.to(memory_format=torch.channels_last)


def kind_of_network(
    description: Mapping[str, Any], place: str
) -> tuple[type[Network], dict[str, Any]]:
    """Return the class of a network and the arguments that a recipe states for it."""
    cls, arguments = described("tutelage.models", description, place, base=nn.Module)
    return network_class(cls), arguments


def content_of(description: Mapping[str, Any], place: str) -> str:
    """Return what a network depends on besides its description: the content of files it names; or nothing.

    Args:
        description: ``{type: ConceptBottleneck, concepts: cifar10, ...}``.
        place: where in the recipe, for errors.
    """
    kind, arguments = kind_of_network(description, place)
    content = kind.content(arguments)
    if "encoder" in arguments:
        source: EncoderSource = convert(arguments["encoder"], EncoderSource, f"{place}.encoder")
        content += source.fingerprint
    return content


def reads_as_is(description: Mapping[str, Any], place: str) -> bool:
    """Return whether a network reads its inputs as the data set gives them, images in [0, 1], not standardised."""
    return kind_of_network(description, place)[0].as_is


def save_network(path: Path, network: On, spec: Mapping[str, Any]) -> None:
    """Write a network with everything needed to build it again.

    Args:
        path: a ``.safetensors`` file.
        network: the network.
        spec: ``network``, ``modality``, ``input_shape`` and ``class_names`` as for :func:`make_network`,
            ``crop`` and ``concept_names`` where there are any, and anything else worth keeping (epoch, value).
    """
    checkpoint.write(path, {"spec": dict(spec), "state": network.state_dict()})


class _Blueprint(TypedDict):
    """What a checkpoint says of its network, as far as it is needed to build it."""

    network: dict[str, Any]
    modality: str
    input_shape: Annotated[
        list[Annotated[int, Field(ge=1, le=2**20)]], Field(min_length=1, max_length=3)
    ]
    class_names: Annotated[list[str], Field(min_length=1)]
    crop: NotRequired[Annotated[int, Field(ge=1)] | None]
    concept_names: NotRequired[dict[str, list[str]] | None]


_BLUEPRINT = TypeAdapter(_Blueprint)


def load_network(path: Path, *, foreign: bool = True) -> tuple[On, dict[str, Any]]:
    """Read a network written by :func:`save_network`.

    Args:
        path: a ``.safetensors`` file.
        foreign: it may name classes of other packages, which are imported; not where the file is somebody else's.

    Returns:
        The network in evaluation mode, and its spec.

    Raises:
        UserError: the file is missing or damaged, does not fit the network it describes, or names a class of
            another package.
    """
    try:
        content = checkpoint.read(path)
        if "spec" not in content or "state" not in content:
            raise UserError(f"{path}: holds no network (found: {quoted(', '.join(content))})")
        spec, state = content["spec"], content["state"]
        _BLUEPRINT.validate_python(spec)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise UserError(
            f"{path}: describes no network: {where}: found {quoted(first['input'])}; {first['msg'][:200]}"
        ) from error
    except RecursionError as error:
        raise UserError(f"{path}: describes no network: it is nested too deeply") from error
    ones = torch.ones(spec["input_shape"][0])
    with nullcontext() if foreign else own_classes():
        network = make_network(
            spec["network"],
            place=str(path),
            modality=spec["modality"],
            input_shape=spec["input_shape"],
            class_names=spec["class_names"],
            statistics=(torch.zeros_like(ones), ones),
            seed=0,
            crop=spec.get("crop"),
            concept_names=spec.get("concept_names"),
        )
    try:
        network.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(f"{path}: the tensors do not fit the network it describes") from error
    return network.eval(), spec
