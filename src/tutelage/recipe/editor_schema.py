"""The JSON schema of a recipe, with which editors complete and check what is being written."""

import importlib
import inspect
from collections.abc import Mapping
from typing import Any

from tutelage.recipe.config import Recipe

__all__ = ["recipe_schema"]

JsonSchema = dict[str, Any]

_DRAFT = "https://json-schema.org/draft/2020-12/schema"
_DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"
"""A class of the user's own: package.module.Class."""

_KINDS = {  # of objects that a recipe describes -> module whose names may stand after ``type``
    "Data": "tutelage.data",
    "Split": "tutelage.data.splits",
    "Modality": "tutelage.modalities",
    "Network": "tutelage.models",
    "Objective": "tutelage.objectives",
    "Term": "tutelage.terms",
    "Weighting": "tutelage.weighting",
    "Schedule": "tutelage.schedules",
    "Encoder": "tutelage.vlm",
    "Augment": "tutelage.augment",
    "Average": "tutelage.averaging",
    "Step": "tutelage.steps",
    "Corruption": "tutelage.corruptions",
    "Optimizer": "torch.optim",
}
_METHODS = {"Data": "load", "Split": "split", "Step": "bind"}  # what the classes of a kind can do


def recipe_schema() -> JsonSchema:
    """Return the JSON schema (draft 2020-12) of a recipe file.

    It knows the keys, their types and ranges, and every name that can stand after ``type``. The arguments of a
    ``type``, and what must agree between keys, are left to ``tutelage check``.
    """
    schema = Recipe.model_json_schema()
    schema["$schema"] = _DRAFT
    schema["$defs"] |= {kind: _described(kind) for kind in _KINDS}
    _name_recipe(schema["properties"])
    _name_stage(schema["$defs"]["Stage"]["properties"])
    _name_training(schema["$defs"]["Train"]["properties"])
    corrupted = schema["$defs"]["Evaluate"]["properties"]["corruptions"]
    corrupted["items"] = {"anyOf": [_type("Corruption"), _ref("Corruption")]}
    for key in ("data", "split"):
        schema["properties"][key] = {"allOf": [_ref(key.capitalize())], "required": ["type"]}
    return schema


def _name_recipe(keys: JsonSchema) -> None:
    """Say what kind of object stands at the keys of a recipe, and what may be written shorter."""
    keys["seed"] = keys["seeds"]["items"]
    keys["network"] |= _ref("Network")
    for key, kind in {"modalities": "Modality", "transfer": "Data", "encoders": "Encoder"}.items():  # fmt: skip
        keys[key]["additionalProperties"] = _ref(kind)
    keys["distiller"]["additionalProperties"] = _or_null(_ref("Objective"))


def _name_stage(keys: JsonSchema) -> None:
    """Say the same of a stage, whose settings are laid over the recipe's."""
    keys["network"] = _or_null(_ref("Network"))
    keys["distiller"]["additionalProperties"] = _or_null(_ref("Objective"))
    keys["train"] = _ref("Train")
    keys["stored"]["anyOf"].append({"type": "string"})


def _name_training(keys: JsonSchema) -> None:
    """Say the same of the settings of training."""
    keys["optimizer"] |= _ref("Optimizer")
    keys["step"] |= _ref("Step")
    keys["learning_rate"]["anyOf"] = [{"type": "number", "exclusiveMinimum": 0}, _ref("Schedule")]
    keys["average"] = _or_null(_ref("Average"))
    keys["mix"] = _or_null(_ref("Augment"))
    keys["augment"]["additionalProperties"] = _ref("Augment")
    keys["clip_norm"] = _or_null({"type": "number", "minimum": 0})  # 0 means what null means


def _described(kind: str) -> JsonSchema:
    """Return the schema of a mapping with a ``type``; without one it is laid over another mapping."""
    keys = {"type": _type(kind)}
    if kind == "Objective":
        number = {"anyOf": [{"type": "number", "minimum": 0}, _ref("Schedule")]}
        nested = {key: {"anyOf": [_type(key.capitalize()), _ref(key.capitalize())]}
                  for key in ("term", "weighting")}  # fmt: skip
        keys |= {"coefficient": number, **nested}
    return {"type": "object", "properties": keys}


def _type(kind: str) -> JsonSchema:
    return {"anyOf": [{"enum": _names(kind)}, {"type": "string", "pattern": _DOTTED}]}


def _names(kind: str) -> list[str]:
    """Return the classes of a kind, in order."""
    module = importlib.import_module(_KINDS[kind])
    method = _METHODS.get(kind, "__init__")
    listed: Mapping[str, Any] = {name: getattr(module, name) for name in module.__all__}
    return sorted(
        name
        for name, item in listed.items()
        if inspect.isclass(item) and not inspect.isabstract(item) and hasattr(item, method)
    )


def _ref(kind: str) -> JsonSchema:
    return {"$ref": f"#/$defs/{kind}"}


def _or_null(schema: JsonSchema) -> JsonSchema:
    return {"anyOf": [schema, {"type": "null"}], "default": None}
