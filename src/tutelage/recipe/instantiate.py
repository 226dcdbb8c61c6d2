"""From a mapping with a ``type`` to an object: names are imports, arguments are checked by annotation."""

import dataclasses
import importlib
import inspect
import math
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Union, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tutelage.errors import UserError, near, quoted, unknown
from tutelage.objectives import Objective, Weighted
from tutelage.schedules import Quantity

# An annotation of one of these classes makes a nested mapping buildable: class path -> module of the slot.
_SLOTS = {
    "tutelage.terms.base.Term": "tutelage.terms",
    "tutelage.weighting.base.Weighting": "tutelage.weighting",
    "tutelage.objectives.base.Objective": "tutelage.objectives",
    "tutelage.schedules.Schedule": "tutelage.schedules",
    "tutelage.schedules.Quantity": "tutelage.schedules",
    "tutelage.augment.base.Augment": "tutelage.augment",
    "tutelage.corruptions.base.Corruption": "tutelage.corruptions",
    "tutelage.data.split.Splitter": "tutelage.data.splits",
    "tutelage.modalities.base.Modality": "tutelage.modalities",
    "tutelage.models._layers.Staged": "tutelage.models",
    "tutelage.vlm.base.EncoderSource": "tutelage.vlm",
    "torch.nn.modules.module.Module": "tutelage.models",
}

_foreign = ContextVar("foreign", default=True)

_NOUNS = {
    "tutelage.terms": "term",
    "tutelage.weighting": "weighting",
    "tutelage.objectives": "objective",
    "tutelage.schedules": "schedule",
    "tutelage.augment": "augmentation",
    "tutelage.averaging": "average",
    "tutelage.corruptions": "corruption",
    "tutelage.steps": "step",
    "tutelage.models": "network",
    "tutelage.modalities": "modality",
    "tutelage.vlm": "encoder",
    "tutelage.data": "data set",
    "tutelage.data.splits": "split",
    "torch.optim": "optimizer",
}


@contextmanager
def own_classes() -> Iterator[None]:
    """Refuse classes of other packages for a while: nothing that somebody else's file names is imported."""
    before = _foreign.set(False)
    try:
        yield
    finally:
        _foreign.reset(before)


def find(
    slot: str, name: str, place: str, base: type | None = None, method: str | None = None
) -> Any:
    """Return the class a ``type`` names.

    Args:
        slot: module whose ``__all__`` lists the known names, for example ``tutelage.terms``.
        name: one of them, or a dotted path to a class of the user's own.
        place: where in the recipe, for the error.
        base: only subclasses of this class are accepted: a recipe or a checkpoint must not be able to name
            just any callable of the machine.
        method: only classes with this method are accepted.

    Raises:
        UserError: there is no such name, or the dotted path does not lead to such a class.
    """

    def fits(cls: Any) -> bool:
        return (
            inspect.isclass(cls)
            and not inspect.isabstract(cls)
            and (base is None or issubclass(cls, base))
            and (method is None or callable(getattr(cls, method, None)))
        )

    if "." in name:
        path, _, attribute = name.rpartition(".")
        if not _foreign.get() and not name.startswith("tutelage."):
            raise UserError(
                f"{place}.type: {quoted(name)} is a class of another package, which would be imported (allowed: "
                "classes of tutelage; or trust: true at the stage, or --trust, where you know who made the run)"
            )
        if not all(part.isidentifier() for part in name.split(".")):
            raise UserError(
                f"{place}.type: found {quoted(name)}; allowed: a name, or package.module.Class"
            )
        try:
            cls = getattr(importlib.import_module(path), attribute)
        except Exception as error:  # whatever a module of the user's does when it is imported
            raise UserError(
                f"{place}.type: cannot import {quoted(name)} ({str(error)[:200]})"
            ) from error
        if not fits(cls):
            wanted = f"a subclass of {base.__name__}" if base else f"a class with {method}()"
            raise UserError(f"{place}.type: {name!r} is not {wanted}")
        return cls
    module = importlib.import_module(slot)
    known = {n for n in module.__all__ if fits(getattr(module, n))}
    if name not in known:
        raise unknown(f"{place}.type", _NOUNS.get(slot, "class"), name, known)
    return getattr(module, name)


def build(
    slot: str,
    value: Mapping[str, Any] | str,
    place: str,
    *,
    base: type | None = None,
    method: str | None = None,
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Build the object that a mapping ``{type: Name, argument: value, ...}`` describes.

    Args:
        slot: module of the slot.
        value: the mapping; a bare string stands for ``{type: string}``.
        place: where in the recipe, for errors.
        base: class that the named class must derive from.
        method: method that the named class must have.
        given: arguments that the recipe does not state because they follow from the data (such as the
            number of classes); those that the class does not take are left out. Nested descriptions
            get them too.

    Raises:
        UserError: unknown name or argument, wrong type, missing argument, or a value the class refuses.
    """
    cls, arguments = described(slot, value, place, base=base, method=method)
    accepted = set(_parameters(cls))
    extra = {key: item for key, item in (given or {}).items() if key in accepted}
    for key in extra:
        if key in arguments and key != "dimensions":
            raise UserError(f"{place}.{key}: follows from the data; remove it from the recipe")
    return call(cls, extra | arguments, place, given=given)


def described(
    slot: str, value: Any, place: str, *, base: type | None = None, method: str | None = None
) -> tuple[Any, dict[str, Any]]:
    """Return the class and the arguments of a mapping with a ``type``."""
    if isinstance(value, str):
        value = {"type": value}
    if not isinstance(value, Mapping):
        raise UserError(f"{place}: found {quoted(value)}; allowed: a mapping with a 'type'")
    if "type" not in value:
        raise UserError(f"{place}: 'type' is missing (found: {', '.join(value) or 'nothing'})")
    if not isinstance(value["type"], str):
        raise UserError(f"{place}.type: found {quoted(value['type'])}; allowed: a name")
    arguments = {key: item for key, item in value.items() if key != "type"}
    return find(slot, value["type"], place, base, method), arguments


def call(
    cls: Any,
    arguments: Mapping[str, Any],
    place: str,
    leading: tuple[Any, ...] = (),
    given: Mapping[str, Any] | None = None,
) -> Any:
    """Call a class with arguments checked against its annotations, after ``leading`` unchecked ones."""
    parameters = dict(list(_parameters(cls).items())[len(leading) :])
    name = getattr(cls, "__name__", str(cls))
    for key in arguments:
        if key not in parameters:
            raise UserError(
                f"{place}: {name} takes no {key!r}{near(str(key), parameters)} "
                f"(allowed: {', '.join(sorted(parameters)) or 'nothing'})"
            )
    for key, parameter in parameters.items():
        if parameter.default is inspect.Parameter.empty and key not in arguments:
            raise UserError(f"{place}: {name} needs {key!r}")
    hints = get_type_hints(cls.__init__)
    # In the order of the class, not of the file: what is built from random numbers must not depend on the latter.
    ready = {
        key: convert(arguments[key], hints.get(key, Any), f"{place}.{key}", given)
        for key in parameters
        if key in arguments
    }
    try:
        return cls(*leading, **ready)
    except UserError as error:
        raise UserError(f"{place}: {error}") from error
    except (ValueError, TypeError, OverflowError, ZeroDivisionError, IndexError, KeyError,
            RuntimeError) as error:  # fmt: skip
        raise UserError(f"{place}: {error}") from error


def convert(value: Any, hint: Any, place: str, given: Mapping[str, Any] | None = None) -> Any:
    """Turn a value from YAML into what an annotation asks for.

    Args:
        value: from the recipe.
        hint: the annotation.
        place: where in the recipe, for errors.
        given: see :func:`build`; for a nested description.

    Raises:
        UserError: the value does not fit the annotation.
    """
    _refuse_infinite(value, place)
    classes = _classes(hint)
    slot = next((c for c in classes if _path(c) in _SLOTS), None)
    # A bare name stands for a class without arguments, but not where a number could stand as well.
    named = isinstance(value, str) and not {str, float} & classes
    if slot is not None and (isinstance(value, Mapping) or named):
        return build(_SLOTS[_path(slot)], value, place, base=slot, given=given)
    if get_origin(hint) is Mapping and get_args(hint)[1] is Weighted:
        return weighted(value, place, given)
    plain = next((c for c in classes if inspect.isclass(c) and dataclasses.is_dataclass(c)), None)
    if plain is not None and isinstance(value, Mapping):
        return call(plain, value, place, given=given)
    if isinstance(value, bool) and bool not in classes and Any not in classes:
        raise UserError(f"{place}: found {value}; allowed: {_describe(hint)}")
    try:
        # Classes of ours inside the annotation pass by isinstance; everything else is converted.
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(
            value
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if isinstance(part, int))
        raise UserError(
            f"{place}{'.' + where if where else ''}: found {quoted(first['input'])}; allowed: {_describe(hint)}"
        ) from error


def _refuse_infinite(value: Any, place: str) -> None:
    """Refuse numbers that are none: no argument of any class has a meaning for them."""
    if isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{place}: found {value}; allowed: a finite number")
    if isinstance(value, list):
        for part in value:
            _refuse_infinite(part, place)


def weighted(value: Any, place: str, given: Mapping[str, Any] | None = None) -> dict[str, Weighted]:
    """Build named objectives; their ``coefficient`` may be a number, a schedule, or a share of the gradient.

    Args:
        value: name -> ``{type: ..., coefficient: ..., argument: value, ...}``.
        place: where in the recipe, for errors.
        given: see :func:`build`.

    Raises:
        UserError: an objective does not fit.
    """
    if not isinstance(value, Mapping):
        raise UserError(
            f"{place}: found {quoted(value)}; allowed: a mapping from names to objectives"
        )
    found = {}
    for name, objective in value.items():
        own = f"{place}.{name}"
        if not isinstance(objective, str | Mapping):
            raise UserError(f"{own}: found {quoted(objective)}; allowed: a mapping with a 'type'")
        item = {"type": objective} if isinstance(objective, str) else dict(objective)
        coefficient = convert(item.pop("coefficient", 1.0), float | Quantity, f"{own}.coefficient")
        made = build("tutelage.objectives", item, own, base=Objective, given=given)
        found[str(name)] = Weighted(made, coefficient)
    return found


def _parameters(cls: Any) -> dict[str, inspect.Parameter]:
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return {
        key: parameter
        for key, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind in kinds
    }


def _classes(hint: Any) -> set[Any]:
    if get_origin(hint) in (Union, types.UnionType):
        return set().union(*(_classes(part) for part in get_args(hint)))
    return {hint}


def _path(cls: Any) -> str:
    return f"{getattr(cls, '__module__', '')}.{getattr(cls, '__qualname__', '')}"


def _describe(hint: Any) -> str:
    if get_origin(hint) in (Union, types.UnionType):
        return " or ".join(_describe(part) for part in get_args(hint))
    if hint is type(None):
        return "null"
    if isinstance(hint, type) and not get_args(hint):
        plain = {float: "a number", int: "a whole number", str: "a text", bool: "true or false"}
        return plain.get(hint, f"a {hint.__name__}")
    if (
        get_args(hint)
        and getattr(get_origin(hint), "__name__", "") != "Literal"
        and get_origin(hint)
    ):
        inner = ", ".join(_describe(part) for part in get_args(hint) if part is not Ellipsis)
        return f"{getattr(get_origin(hint), '__name__', 'list').lower()} of {inner}"
    return " or ".join(repr(part) for part in get_args(hint)) or str(hint)
