"""Weights that other people wrote, as tensors by name: nothing of a file is run, and nothing of it is imported."""

import io
import re
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from tutelage.errors import UserError, one_line
from tutelage.safepickle import Unpickler

__all__ = ["read_weights"]

_LARGEST = 2**26  # bytes of an archive's structure; its tensors lie beside it
_WRAPPERS = (
    "state_dict",
    "model",
    "model_state",
)  # keys under which training code keeps the weights
_STRANGERS = {"__torch__", "torch", "numpy", "dassl", "_codecs"}  # whose objects stand still


class _Still:
    """Stand in for any object of others: it takes what it is given, and does nothing."""

    state: Any = None

    def __new__(cls, *_: Any) -> "_Still":
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _tensor(values: Tensor, start: int, size: Any, stride: Any, *_: Any) -> Tensor:
    """Stand in for torch's function that lays a tensor over stored values; torch compares the bounds."""
    return torch.as_strided(values, tuple(size), tuple(stride), start)


_TYPES = {
    "Float": torch.float32, "Half": torch.float16, "BFloat16": torch.bfloat16, "Double": torch.float64,
    "Long": torch.int64, "Int": torch.int32, "Short": torch.int16, "Char": torch.int8, "Byte": torch.uint8,
    "Bool": torch.bool,
}  # fmt: skip
_NAMES: Mapping[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): OrderedDict,
    **{("collections", name): lambda *_: {} for name in ("Counter", "defaultdict")},
    **{(module, "dict"): dict for module in ("builtins", "__builtin__")},
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): lambda values, *_: values,
    **{("torch.jit._pickle", f"build_{kind}list"): list for kind in ("int", "double", "bool", "tensor")},
    **{("torch", f"{name}Storage"): kind for name, kind in _TYPES.items()},
}  # fmt: skip


class _TorchArchive(Unpickler):
    """Reads the structure of an archive of torch, and its tensors where they are asked for.

    Args:
        archive: the open file.
        root: folder in it that all members lie in.
    """

    def __init__(self, archive: zipfile.ZipFile, root: str) -> None:
        if archive.getinfo(f"{root}data.pkl").file_size > _LARGEST:
            raise ValueError("its structure is larger than that of any network")
        super().__init__(io.BytesIO(archive.read(f"{root}data.pkl")), _NAMES)
        self.archive, self.root = archive, root
        self.stored: dict[str, Tensor] = {}

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name stands for; objects of others stand still, all else is refused."""
        if (module, name) not in _NAMES and module.partition(".")[0] in _STRANGERS:
            return _Still
        return super().find_class(module, name)

    def persistent_load(self, about: Any) -> Tensor:
        """Return stored values, flat."""
        _, kind, key, _, count = about
        if key not in self.stored:
            member = self.archive.getinfo(f"{self.root}data/{key}")
            if member.file_size != count * kind.itemsize:
                raise ValueError(
                    f"{member.filename} has {member.file_size} bytes for {count} numbers"
                )
            values = bytearray(self.archive.read(member))
            self.stored[key] = torch.frombuffer(values, dtype=kind) if count else torch.empty(0)
        return self.stored[key]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name.

    Args:
        path: ``.safetensors``; or an archive of ``torch.save``, which may keep other things beside the weights; or
            one of ``torch.jit.save``, as OpenAI's are.

    Raises:
        UserError: the file is missing, damaged, of another kind, or asks for anything but tensors.
    """
    try:
        if path.suffix == ".safetensors":
            tensors: dict[str, Tensor] = load_file(path)
        else:
            with zipfile.ZipFile(path) as archive:
                tensors = dict(_named(_content(archive)))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except (zipfile.BadZipFile, OSError, SafetensorError) as error:
        raise UserError(
            f"{path}: is no file of weights ({one_line(error)}; allowed: .safetensors, or an archive of "
            "torch.save since torch 1.6, or of torch.jit.save)"
        ) from error
    except Exception as error:  # a broken archive can raise nearly anything
        raise UserError(f"{path}: holds no readable weights ({one_line(error)})") from error
    if not tensors:
        raise UserError(f"{path}: holds no tensors")
    whole = all(
        name.startswith("module.") for name in tensors
    )  # as torch's parallel wrapper names them
    return {
        name.removeprefix("module.") if whole else name: values for name, values in tensors.items()
    }


def _content(archive: zipfile.ZipFile) -> Any:
    names = archive.namelist()
    (structure,) = (name for name in names if re.fullmatch("[^/]+/data.pkl", name))
    root = structure.removesuffix("data.pkl")
    if f"{root}byteorder" in names and archive.read(f"{root}byteorder") != b"little":
        raise ValueError("its numbers are in the byte order of another machine")
    return _TorchArchive(archive, root).load()


def _named(content: Any, prefix: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested modules or mappings, with the path of each."""
    if isinstance(content, _Still):
        content = content.state
    if not isinstance(content, Mapping):
        return
    inner = next((content[key] for key in _WRAPPERS if key in content), None)
    if not prefix and isinstance(inner, Mapping):
        content = inner
    for key, value in content.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", value
        else:
            yield from _named(value, f"{prefix}{key}.")
