"""Checkpoints as one safetensors file each: tensors, and everything else as JSON in its header.

Nothing is unpickled, and a file is complete or absent: it is written beside its place and renamed.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutelage.errors import UserError
from tutelage.files import replacing

if TYPE_CHECKING:  # records are JSON: whoever reads only them does without torch
    from torch import Tensor

__all__ = ["digest", "read", "read_json", "write", "write_json"]

_TENSOR = "__tensor__"
_ITEMS = "__items__"


def write(path: Path, tree: Mapping[str, Any]) -> None:
    """Write nested dicts and lists of tensors, numbers, strings and None; atomic."""
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors: dict[str, Tensor] = {}
    skeleton = _pack(tree, "", tensors)
    with replacing(path) as part:
        try:
            save_file(tensors, part, metadata={"json": json.dumps(skeleton)})
        except SafetensorError as error:  # it hides what the system refused
            number = re.search(r"os error (\d+)", str(error))
            if number is None:
                raise
            raise OSError(int(number[1]), str(error), str(path)) from error


def read(path: Path) -> dict[str, Any]:
    """Read what :func:`write` wrote.

    Raises:
        UserError: the file is missing, damaged, or was not written by Tutelage.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            skeleton = json.loads((file.metadata() or {})["json"])
            tree = _unpack(skeleton, {key: file.get_tensor(key) for key in file.keys()})
    except FileNotFoundError as error:
        raise UserError(f"{path}: there is no such checkpoint") from error
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: is no checkpoint of Tutelage, or is damaged ({error})") from error
    assert isinstance(tree, dict)
    return tree


def digest(path: Path) -> str:
    """Return the SHA-256 (hex) of a file.

    Raises:
        UserError: the file is missing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN is refused, because JSON has none."""
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        return json.loads(path.read_text())
    except (OSError, json.JSONDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({error})") from error


def _pack(value: Any, name: str, tensors: dict[str, "Tensor"]) -> Any:
    import torch
    from torch import Tensor

    if isinstance(value, Tensor):
        # A copy: two names may share one storage, which the format refuses.
        tensors[name] = value.detach().cpu().clone(memory_format=torch.contiguous_format)
        return {_TENSOR: name}
    if isinstance(value, Mapping):
        items = [[key, _pack(item, f"{name}/{key}", tensors)] for key, item in value.items()]
        if all(isinstance(key, str) for key in value):
            return dict(items)
        return {_ITEMS: items}  # optimizers number their parameters; JSON keys are strings
    if isinstance(value, (list, tuple)):
        return [_pack(item, f"{name}/{i}", tensors) for i, item in enumerate(value)]
    return value


def _unpack(value: Any, tensors: Mapping[str, "Tensor"]) -> Any:
    if isinstance(value, dict):
        if _TENSOR in value:
            return tensors[value[_TENSOR]]
        if _ITEMS in value:
            return {key: _unpack(item, tensors) for key, item in value[_ITEMS]}
        return {key: _unpack(item, tensors) for key, item in value.items()}
    if isinstance(value, list):
        return [_unpack(item, tensors) for item in value]
    return value
