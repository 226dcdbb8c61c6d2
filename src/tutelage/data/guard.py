"""Files of others are judged before they are read: what they are, and how large they may become."""

import math
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipInfo

import numpy as np

from tutelage.errors import UserError

if TYPE_CHECKING:
    from PIL.Image import Image

MEMBER = 1 << 28  # bytes of one file that is read whole: of an archive, or a picture
TEXT = 1 << 20  # bytes of a list of names
PIXELS = 1 << 26  # of one picture: 8192 x 8192
_KINDS = {"f": "floating-point numbers", "i": "integers", "u": "integers from 0", "b": "true or false",
          "U": "texts", "S": "bytes", "c": "complex numbers", "M": "dates", "m": "durations"}  # fmt: skip
_MAGIC = {b"PK": "a .zip or .npz archive", b"\x1f\x8b": "a gzip archive", b"\x80\x04": "a pickle",
          b"\x80\x02": "a pickle"}  # fmt: skip


def regular(path: Path) -> Path:
    """Return a path that is a file with content on a disk; links are followed.

    Raises:
        UserError: it is a folder, a named pipe, a device or a socket, cannot be read, or is not there.
    """
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if stat.S_ISREG(mode):
        return path
    kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    raise UserError(f"{path}: found {kinds.get(stat.S_IFMT(mode), 'a device')}, allowed is a file")


def content(path: Path, most: int = MEMBER) -> bytes:
    """Return the bytes of a file that is not larger than it may be.

    Raises:
        UserError: no such file, or it is larger.
    """
    size = regular(path).stat().st_size
    sized(path, "", size, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error


def sized(path: Path, name: str, size: int, most: int = MEMBER) -> None:
    """Refuse a file, or a member of an archive, that would not fit.

    Raises:
        UserError: the sentence names both.
    """
    if size > most:
        where = f"{path}: {name}" if name else str(path)
        raise UserError(f"{where}: found {size:,} bytes, allowed are at most {most:,}")


def member(path: Path, info: ZipInfo) -> ZipInfo:
    """Return a member of a .zip archive that may be read.

    Raises:
        UserError: it is encrypted, or too large.
    """
    if info.flag_bits & 1:
        raise UserError(
            f"{path}: {info.filename}: found it encrypted; unpack the archive with its password"
        )
    sized(path, info.filename, info.file_size)
    return info


@contextmanager
def readable(path: Path, kind: str) -> Iterator[None]:
    """Tell whatever a damaged archive raises as one sentence.

    Args:
        path: of the archive.
        kind: ``.zip``, for the sentence.

    Raises:
        UserError: the archive cannot be read.
    """
    import tarfile
    import zlib

    try:
        yield
    except UserError:
        raise
    except (
        OSError, EOFError, zlib.error, tarfile.TarError, BadZipFile, ValueError, NotImplementedError, RuntimeError,
    ) as error:  # fmt: skip
        raise UserError(f"{path}: found no readable {kind} archive ({error})") from error


def lines(path: Path) -> tuple[str, ...]:
    """Return the lines of a small text file that are not empty; none where there is no file.

    Raises:
        UserError: it is no UTF-8, or too large.
    """
    if not path.exists():
        return ()
    try:
        text = content(path, TEXT).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: found no text in UTF-8 (byte {error.start}); save it as UTF-8"
        ) from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def array(path: Path, kinds: str, axes: Sequence[int]) -> np.ndarray:
    """Return a .npy file as a memory-map, after its header was compared with its size.

    Args:
        path: of the file.
        kinds: letters of the allowed types, as in :attr:`numpy.dtype.kind`.
        axes: allowed numbers of axes.

    Raises:
        UserError: no such file, no .npy, pickled objects, records, other types or axes, or a header that promises
            more than is there.
    """
    shape, kind, there = _header(path)
    if kind.hasobject:
        raise UserError(f"{path}: found no plain .npy file (pickled objects are refused)")
    if kind.kind not in kinds:
        allowed = " or ".join(dict.fromkeys(_KINDS[letter] for letter in kinds))
        raise UserError(f"{path}: found type {str(kind)[:80]}, allowed are {allowed}")
    if len(shape) not in axes or any(length < 1 for length in shape):
        wanted = " or ".join(str(number) for number in axes)
        raise UserError(
            f"{path}: found shape {str(list(shape))[:80]}, allowed are {wanted} axes, not empty"
        )
    promised = kind.itemsize * math.prod(shape)
    if promised > there:
        raise UserError(
            f"{path}: found {there:,} bytes of numbers, the header promises {promised:,}; is the file complete?"
        )
    try:
        values: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, OverflowError) as error:
        raise UserError(f"{path}: found no plain .npy file ({error})") from error
    if kind.kind == "U":
        _refuse_no_text(path, values)
    return values


def _refuse_no_text(path: Path, values: np.ndarray) -> None:
    """Refuse numbers that are no characters; Python would fail on them anywhere."""
    order = values.dtype.byteorder.replace("=", "<" if sys.byteorder == "little" else ">")
    codes = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.dtype(f"{order}u4"))
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise UserError(f"{path}: found what is no text in it; is the file damaged?")


def _header(path: Path) -> tuple[tuple[int, ...], "np.dtype[Any]", int]:
    """Return shape and type that a .npy file promises, and how many bytes follow."""
    with regular(path).open("rb") as file:
        start = file.read(6)
        if start != b"\x93NUMPY":
            known = (text for magic, text in _MAGIC.items() if start.startswith(magic))
            found = next(known, "no .npy file")
            raise UserError(f"{path}: found {found}, allowed is a plain .npy file")
        file.seek(0)
        try:
            version = np.lib.format.read_magic(file)
            old = version == (1, 0)
            read = (
                np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            )
            shape, _, kind = read(file)
        except Exception as error:  # a forged header can raise nearly anything
            reason = " ".join(str(error).split())[:80]
            raise UserError(f"{path}: found no readable .npy header ({reason})") from error
        return shape, kind, os.fstat(file.fileno()).st_size - file.tell()


def fits_memory(place: str, needed: int, advice: str) -> None:
    """Refuse what would not fit the memory that is free.

    Args:
        place: for the sentence.
        needed: bytes.
        advice: what to do instead.

    Raises:
        UserError: fewer bytes are free.
    """
    import psutil

    free = psutil.virtual_memory().available
    if needed > free:
        raise UserError(
            f"{place}: {needed / 1e9:.1f} GB of memory are needed and {free / 1e9:.1f} GB are free; {advice}"
        )


@contextmanager
def picture(data: bytes, place: str, formats: Sequence[str]) -> Iterator["Image"]:
    """Give a picture whose size was judged before it is decoded, with 8 bits a channel.

    Pictures of 16 bits are scaled to 8.

    Args:
        data: content of the file.
        place: what the sentence calls it.
        formats: what it may be, whatever its name ends with; Pillow's words.

    Raises:
        UserError: it is no such picture, broken, cut short, or too large.
    """
    from PIL import Image

    try:
        with Image.open(BytesIO(data), formats=list(formats)) as stored:
            width, height = stored.size
            if width * height > PIXELS:
                raise UserError(
                    f"{place}: found {width}x{height} pixels, allowed are at most {PIXELS:,}"
                )
            if stored.format == "PNG" and b"IEND" not in data[-(1 << 16) :]:
                raise UserError(f"{place}: found no readable image (its end is missing)")
            yield eight_bits(stored, place)
    except UserError:
        raise
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        raise UserError(f"{place}: found no readable image ({error})") from error


def eight_bits(stored: "Image", place: str) -> "Image":
    """Return a grey picture of 16 bits with 8; others as they are.

    Raises:
        UserError: more than 16 bits, or floating-point pixels, whose white is not known.
    """
    from PIL import Image

    if not stored.mode.startswith(("I", "F")):
        return stored
    values = np.asarray(stored)
    if stored.mode == "F" or values.min() < 0 or values.max() > 0xFFFF:
        raise UserError(
            f"{place}: found pixels from {values.min():g} to {values.max():g}, allowed are 8 or 16 bits"
        )
    return Image.fromarray(np.round(values / 257).astype(np.uint8))
