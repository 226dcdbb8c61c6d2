"""Text that people write: YAML files, overrides of the command line, and the folder they name."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml

from tutelage.errors import UserError, quoted
from tutelage.files import bytes_in_words, is_file

__all__ = ["described_data", "folder_name", "merge", "read_override", "read_text", "read_yaml"]

_BYTES, _DEPTH, _VALUES = 2**20, 40, 100_000  # of a file that a person wrote
_TAG = "tag:yaml.org,2002:"
_TAGS = {_TAG + kind for kind in ("map", "seq", "str", "int", "float", "bool", "null")}
_ALLOWED = "mappings, lists, texts, numbers, true, false, null"


def read_yaml(path: Path, what: str) -> dict[str, Any]:
    """Read a file of keys.

    Args:
        path: the file.
        what: it should be, for errors.

    Raises:
        UserError: it is missing, too large, no text, no YAML, or no mapping.
    """
    if not is_file(path):
        raise UserError(f"{path}: there is no such {what} file")
    if path.stat().st_size > _BYTES:
        raise UserError(
            f"{path}: holds more than {bytes_in_words(_BYTES)}, so it is no {what} file"
        )
    try:
        text = path.read_bytes().decode()
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"{path}: line {line}: is not written in UTF-8") from error
    content = read_text(text, str(path))
    if not isinstance(content, dict):
        raise UserError(
            f"{path}: found {type(content).__name__}; allowed: a mapping of {what} keys"
        )
    return content


def read_text(text: str, place: str) -> Any:
    """Read YAML: mappings, lists, texts, numbers, true, false and null.

    Args:
        text: to read.
        place: where it stands, for errors.

    Raises:
        UserError: it is no YAML, or anything else; the sentence says line and column.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _Size().of(node)
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        why = error.problem or error.context or "broken off"
        raise UserError(
            f"{place}: {where}not readable as YAML: {' '.join(why.split())[:200]}"
        ) from error
    except yaml.YAMLError as error:
        raise UserError(
            f"{place}: not readable as YAML: {' '.join(str(error).split())[:200]}"
        ) from error
    except RecursionError as error:
        raise UserError(f"{place}: is nested too deeply (allowed: {_DEPTH} levels)") from error


def read_override(text: str) -> dict[str, Any]:
    """Return what ``key.path=value`` says, as nested mappings.

    Raises:
        UserError: it is written in another way.
    """
    path, sign, value = text.partition("=")
    if not sign or not re.fullmatch(r"[\w-]+(\.[\w-]+){,19}", path):
        raise UserError(f"override {quoted(text)}: allowed: key.path=value, such as train.epochs=5")
    if len(value) > _BYTES:
        raise UserError(f"override {path}: the value is longer than {bytes_in_words(_BYTES)}")
    item = read_text(value, f"override {path}")
    for key in reversed(path.split(".")):
        item = {key: item}
    nested: dict[str, Any] = item
    return nested


def described_data(named: str, arguments: Sequence[str]) -> dict[str, Any]:
    """Return the description of a data set that a command names.

    Args:
        named: a loader, such as ``Hapt``, or a recipe file, whose ``data`` is meant.
        arguments: ``key=value``, laid over it.

    Raises:
        UserError: the file cannot be read or has no data, or an argument is written in another way.
    """
    described: Any = {"type": named}
    if named.endswith((".yaml", ".yml")):
        described = read_yaml(Path(named), "recipe").get("data")
        if not isinstance(described, dict):
            raise UserError(f"{named}: found no data, allowed is a recipe with data: {{type: ...}}")
    for argument in arguments:
        key, sign, value = argument.partition("=")
        if not sign:
            raise UserError(
                f"data {named}: found {quoted(key)}; allowed: KEY=VALUE, such as window=100"
            )
        described = {**described, key: read_text(value, f"data {named}: {key}")}
    return dict(described)


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


class _Size:
    """Counts what a document becomes when its aliases are written out, before it is built."""

    def __init__(self) -> None:
        self.known: dict[int, int] = {}
        self.open: set[int] = set()

    def of(self, node: yaml.Node, depth: int = 0) -> int:
        """Return the number of values in a node; refuse what is too deep, too large, or contains itself."""
        if id(node) in self.open:
            raise _refusal("an alias stands inside what it names", node)
        if depth > _DEPTH:
            raise _refusal(f"is nested too deeply (allowed: {_DEPTH} levels)", node)
        if id(node) not in self.known:
            self.open.add(id(node))
            children = node.value if isinstance(node, yaml.CollectionNode) else []
            parts = [part for child in children
                     for part in (child if isinstance(child, tuple) else (child,))]  # fmt: skip
            self.known[id(node)] = 1 + sum(self.of(part, depth + 1) for part in parts)
            self.open.remove(id(node))
        if self.known[id(node)] > _VALUES:
            raise _refusal(f"holds more than {_VALUES:,} values", node)
        return self.known[id(node)]


def _refusal(why: str, node: yaml.Node) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=why, problem_mark=node.start_mark)


class _Loader(yaml.SafeLoader):
    """Safe YAML that reads 1e-4 as a number and refuses a key given twice, and every type that JSON has not."""

    # A date is a text here; the dictionary belongs to the parent class.
    yaml_implicit_resolvers: ClassVar = {  # type: ignore[misc]
        first: [(tag, pattern) for tag, pattern in pairs if tag != _TAG + "timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Build a value; whatever is wrong with it is said with its line and column."""
        if node.tag == _TAG + "merge":
            raise _refusal("merge keys (<<) are not read; write the keys out", node)
        if node.tag not in _TAGS:
            raise _refusal(f"{quoted(node.tag)} is no type of a recipe (allowed: {_ALLOWED})", node)
        try:
            return super().construct_object(node, deep)
        except yaml.YAMLError:
            raise
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            kind = node.tag.removeprefix(_TAG)
            raise _refusal(f"{quoted(node.value)} is no {kind}", node) from error


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    keys = set()
    for key_node, _ in node.value:
        if not isinstance(key_node, yaml.ScalarNode):
            raise _refusal("a key is a list or a mapping (allowed: texts and numbers)", key_node)
        key = loader.construct_object(key_node)
        if key in keys:
            raise _refusal(f"key {quoted(key)} stands twice", key_node)
        keys.add(key)
    return loader.construct_mapping(node, deep=True)


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
# YAML 1.1 wants a dot in a float; people, and YAML 1.2, write 1e-4.
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"^[-+]?(\d[\d_]*)(\.\d*)?[eE][-+]?\d+$|^[-+]?\.\d+([eE][-+]?\d+)?$"),
    list("-+0123456789."),
)
