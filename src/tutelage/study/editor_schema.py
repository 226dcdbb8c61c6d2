"""The JSON schema of a study file, with which editors complete and check what is being written."""

import re
from typing import Any

from tutelage.recipe.editor_schema import recipe_schema
from tutelage.study.file import WrittenStudy

__all__ = ["study_schema"]


def study_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of a study file.

    A recipe may stand in it whole; what is laid over a recipe (``set``, the values of ``vary``) begins with one of
    its keys: ``train: {epochs: 5}`` or ``train.epochs: 5``.
    """
    whole = recipe_schema()
    schema = WrittenStudy.model_json_schema()
    keys = schema["properties"]
    known = "|".join(re.escape(key) for key in whole["properties"])
    patch = {"type": "object", "propertyNames": {"pattern": rf"^({known})(\.|$)"}}
    keys["recipe"] = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/Recipe"}]}
    keys["set"] = {"$ref": "#/$defs/Patch"}
    value = {"anyOf": [{"$ref": "#/$defs/Patch"}, {"type": "null"}]}
    axis = {"type": "object", "additionalProperties": value, "minProperties": 1}
    keys["vary"] = {"type": "object", "additionalProperties": axis}
    one = {"type": ["string", "number"]}  # a number may be the name of a value
    point = {"anyOf": [one, {"type": "array", "items": one}]}
    keys["skip"]["items"] = {"type": "object", "additionalProperties": point, "minProperties": 1}
    definitions = whole.pop("$defs")
    schema["$schema"] = whole.pop("$schema")
    schema["$defs"] = {**definitions, "Recipe": whole, "Patch": patch}
    return schema
