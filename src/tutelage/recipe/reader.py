"""Text that people write: YAML files, overrides of the command line, and the folder they name."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tutelage.errors import UserError

__all__ = ["folder_name", "merge", "read_override", "read_yaml"]


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a file of keys.

    Args:
        path: the file.
        what: it should be, for errors.

    Raises:
        UserError: it is missing, no YAML, or no mapping.
    """
    if not path.is_file():
        raise UserError(f"{path}: there is no such {what} file")
    try:
        content = yaml.load(path.read_text(), Loader=_Loader)  # a SafeLoader, see below
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: found {type(content).__name__}; allowed: a mapping of {what} keys"
        )
    return content


def read_override(text: str) -> dict[str, Any]:
    """Return what ``key.path=value`` says, as nested mappings.

    Raises:
        UserError: it is written in another way.
    """
    path, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", path):
        raise UserError(f"override {text!r}: allowed: key.path=value, such as train.epochs=5")
    try:
        item: Any = yaml.load(value, Loader=_Loader)
    except yaml.YAMLError as error:
        raise UserError(f"override {text!r}: the value is not readable as YAML") from error
    for key in reversed(path.split(".")):
        item = {key: item}
    found: dict[str, Any] = item
    return found


def folder_name(path: Path, overrides: Sequence[str], group: str | None = None) -> str:
    """Return the name of the folder that keeps what a file describes: its group, its name, and a hash of changes.

    Args:
        path: the file.
        overrides: changes to it.
        group: what comes first; the name of the file's folder unless told. ``recipes`` is no group.
    """
    group = path.resolve().parent.name if group is None else group
    name = path.stem if group == "recipes" else f"{group}-{path.stem}"
    if not overrides:
        return name
    # Other settings are something else: they must not write over the record of the plain file.
    return f"{name}-{hashlib.sha256(' '.join(sorted(overrides)).encode()).hexdigest()[:6]}"


def merge(base: Mapping[str, Any], top: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``top`` laid over it, mapping by mapping.

    A mapping whose ``type`` changes is replaced as a whole: the old arguments belong to the old class.
    """
    merged = dict(base)
    for key, value in top.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping):
            other = "type" in value and value["type"] != old.get("type")
            merged[key] = dict(value) if other else merge(old, value)
        else:
            merged[key] = value
    return merged


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-4 as a number and refuses a key given twice."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node)
        if key in seen:
            raise yaml.MarkedYAMLError(
                problem=f"key {key!r} stands twice", problem_mark=key_node.start_mark
            )
        seen.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 wants a dot in a float; people, and YAML 1.2, write 1e-4.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$|^[-+]?\.\d+([eE][-+]?\d+)?$"),
    list("-+0123456789."),
)
