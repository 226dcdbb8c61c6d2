"""Where official image files lie: in a folder, a .tar.gz or a .zip, read without unpacking anything."""

import gzip
import hashlib
import json
import os
import tarfile
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import final

from tutelage import seals
from tutelage.data.guard import content, member, readable, sized
from tutelage.data.store import stamps
from tutelage.errors import UserError

Content = Callable[[], bytes]


class Source(ABC):
    """The files below one root, by their path relative to it, with forward slashes.

    Args:
        path: the folder or archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    @abstractmethod
    def names(self) -> list[str]:
        """All files that matter, sorted."""

    @abstractmethod
    def stamp(self, memory: Path) -> object:
        """Return what stands for the content of all files.

        Args:
            memory: a JSON file that remembers it, so that unchanged files are not read again.
        """

    @abstractmethod
    def contents(self, wanted: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield how to read each wanted file, in the order that is fastest.

        What is yielded may be called in another thread, at any time.
        """

    def text(self, name: str) -> str:
        """Return a text file.

        Raises:
            UserError: there is no such file, or it is no text.
        """
        if name not in self.names:
            raise UserError(f"{self.path}: found no {name} in it, which the official files have")
        ((_, read),) = self.contents([name])
        try:
            return read().decode("utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"{self.path}: {name}: found no text ({error})") from error


@final
class Folder(Source):
    """Files of a folder; links are followed.

    Args:
        path: the folder.
        tops: the entries of it that matter, folders or files; others are not looked at.
    """

    def __init__(self, path: Path, tops: Sequence[str]) -> None:
        super().__init__(path)
        self.tops = tuple(tops)
        self.times: dict[str, int | None] = {}

    @cached_property
    def names(self) -> list[str]:
        """All files, sorted; hidden ones are left out."""
        return sorted(self._sizes)

    @cached_property
    def _sizes(self) -> dict[str, int]:
        """Size of every file; ``times`` then holds the time of every folder."""
        sizes: dict[str, int] = {}
        waiting = list(self.tops)
        seen: set[str] = set()  # a link may lead back to a folder above it
        while waiting:
            top = waiting.pop()
            path = self.path / top
            self.times[top] = _time(path)
            if path.is_file():
                sizes[top] = path.stat().st_size
            elif path.is_dir() and (real := str(path.resolve())) not in seen:
                seen.add(real)
                with os.scandir(path) as entries:
                    for entry in entries:
                        if entry.name.startswith("."):
                            continue
                        if entry.is_dir():
                            waiting.append(f"{top}/{entry.name}")
                        elif entry.is_file():
                            sizes[f"{top}/{entry.name}"] = entry.stat().st_size
        return sizes

    def stamp(self, memory: Path) -> object:
        """Return a hash of all names and sizes, and hashes of the files at the top.

        The names are listed again only when a folder has changed: a million files are not asked for
        their state each time. An image that is overwritten in place by one of equal name and size
        is not noticed.
        """
        known = seals.recall(memory)
        place = str(self.path.resolve())
        times, digest = known.get(place, ({}, ""))
        tops = set(self.tops) <= set(times)
        if not (tops and all(_time(self.path / name) == time for name, time in times.items())):
            listing = json.dumps(sorted(self._sizes.items()))
            digest = hashlib.sha256(listing.encode()).hexdigest()
            known[place] = (self.times, digest)
            seals.remember(memory, known)
        texts = [name for name in self.tops if (self.path / name).is_file()]
        hashes = stamps([self.path / name for name in texts], memory.with_name(".hashes.json"))
        return [digest, *zip(texts, hashes, strict=True)]

    def contents(self, wanted: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield the files in the order asked for; they are read by who calls."""
        for name in wanted:
            yield name, partial(content, self.path / name)


def _time(place: Path) -> int | None:
    """Return when a folder or file changed, in ns; None where there is none."""
    try:
        return place.stat().st_mtime_ns
    except OSError:
        return None


class _Archive(Source):
    """What archives have in common: their root is the folder that holds ``train``."""

    @cached_property
    @abstractmethod
    def _members(self) -> list[str]:
        """Names of all files as the archive spells them."""

    @cached_property
    def _root(self) -> str:
        heads = (
            name[: name.index("train/")]
            for name in self._members
            if name.startswith("train/") or "/train/" in name
        )
        return min(heads, key=len, default="")

    @cached_property
    def names(self) -> list[str]:
        """All files below the folder that holds ``train``, sorted."""
        start = len(self._root)
        return sorted(name[start:] for name in self._members if name.startswith(self._root))

    def stamp(self, memory: Path) -> object:
        """Return the SHA-256 of the archive."""
        return stamps([self.path], memory.with_name(".hashes.json"))


@final
class Tar(_Archive):
    """A .tar.gz: read from front to back, once for the names and once for the contents."""

    @cached_property
    def _members(self) -> list[str]:
        return [name for name, _ in self._walk()]

    def _walk(self) -> Iterator[tuple[str, Callable[[], bytes]]]:
        # gzip tells a file that ends too early; tarfile alone would take it for the end.
        with (
            readable(self.path, ".tar.gz"),
            gzip.open(self.path) as stream,
            tarfile.open(fileobj=stream, mode="r|") as archive,
        ):
            for entry in archive:
                # tarfile remembers every member it has passed: hundreds of MB for a million.
                archive.members = []  # type: ignore[attr-defined]
                if entry.isfile():
                    yield (
                        entry.name.removeprefix("./"),
                        partial(_extract, self.path, archive, entry),
                    )

    def contents(self, wanted: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield the files in the order of the archive, already read."""
        missing = {self._root + name for name in wanted}
        for name, read in self._walk() if missing else ():
            if name in missing:
                missing.remove(name)
                with readable(self.path, ".tar.gz"):
                    data = read()
                yield name[len(self._root) :], partial(bytes, data)
                if not missing:
                    return


def _extract(path: Path, archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    sized(path, entry.name, entry.size)
    file = archive.extractfile(entry)
    assert file is not None  # it is a file
    return file.read()


@final
class Zip(_Archive):
    """A .zip archive."""

    @cached_property
    def _members(self) -> list[str]:
        with readable(self.path, ".zip"), zipfile.ZipFile(self.path) as archive:
            return [info.filename for info in archive.infolist() if not info.is_dir()]

    def contents(self, wanted: Sequence[str]) -> Iterator[tuple[str, Content]]:
        """Yield the files in the order asked for, already read."""
        with readable(self.path, ".zip"), zipfile.ZipFile(self.path) as archive:
            for name in wanted:
                info = member(self.path, archive.getinfo(self._root + name))
                yield name, partial(bytes, archive.read(info))


def find(
    place: str,
    given: str | None,
    cache: Path,
    *,
    tops: Sequence[str],
    archives: Sequence[str],
    inside: Sequence[str],
    where: str,
) -> Source:
    """Return the source a user named, else the one in the data cache.

    Args:
        place: argument of the loader, for the sentence.
        given: path of a folder or archive; None: look into the data cache.
        cache: folder of the loader in the data cache.
        tops: entries of the folder that matter; the first is ``train``.
        archives: file names that official archives have.
        inside: sub-folders in which ``train`` may lie, as the archives unpack.
        where: what to get from where, for the sentence.

    Raises:
        UserError: nothing is there.
    """
    root = cache if given is None else Path(given).expanduser()
    kinds: dict[str, type[_Archive]] = {
        Path(name).suffix: Zip if name.endswith(".zip") else Tar for name in archives
    }
    for path in [root] if root.is_file() else [root / name for name in archives]:
        if path.is_file() and path.suffix in kinds:
            return kinds[path.suffix](path)
    for name in ("", *inside):
        if (root / name / tops[0]).is_dir():
            return Folder(root / name, tops)
    looked = root if given is None else f"{given!r} (looked for {root.absolute()})"
    raise UserError(
        f"{place}: found no folder {tops[0]!r}{' and no archive' if archives else ''} in {looked}; "
        f"get {where}"
    )
