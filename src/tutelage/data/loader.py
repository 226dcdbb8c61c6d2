"""What a data set is before it is loaded: its arguments, and how files become samples."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, final

from tutelage.data.dataset import DataSet
from tutelage.data.store import Progress, cached, quiet, stamps, usable
from tutelage.data.store import home as data_cache
from tutelage.errors import UserError
from tutelage.files import is_folder


class Loader(ABC):
    """A data set by its arguments; every subclass is a frozen dataclass of them.

    Arguments are checked when the object is made, before any file is touched.
    """

    @property
    def kind(self) -> str:
        """Name of the class, for sentences."""
        return type(self).__name__

    @property
    def cache_name(self) -> str:
        """Name of the folder of the data set in the data cache."""
        return self.kind.lower()

    @final
    def load(self, home: Path | None = None, progress: Progress | None = None) -> DataSet:
        """Return the data set; at the first time it is fetched, read and stored.

        Args:
            home: data cache root, default :func:`tutelage.data.home`.
            progress: called with a text and the fraction done.

        Raises:
            UserError: files are missing, damaged or not as published, cannot be fetched, or do not fit the disk.
        """
        cache = (home or data_cache()) / self.cache_name
        with usable(cache):
            return self._load(cache, progress or quiet)

    @abstractmethod
    def _load(self, cache: Path, progress: Progress) -> DataSet:
        """Return the data set.

        Args:
            cache: folder of this data set in the data cache; it need not exist.
            progress: called with a text and the fraction done.
        """


class ParsedLoader(Loader):
    """A data set that is read from raw files into memory once, and stored.

    ``units`` are those of its channels; empty where nobody says them.
    """

    units: ClassVar[tuple[str, ...]] = ()

    @final
    def _load(self, cache: Path, progress: Progress) -> DataSet:
        files = self._files(cache, progress)
        content = [*zip(files, stamps(files.values(), cache / ".hashes.json"), strict=True)]
        return cached(cache, self, content, lambda _: self._parse(files, progress), self.units)

    @abstractmethod
    def _files(self, cache: Path, progress: Progress) -> dict[str, Path]:
        """Return the raw files by a name that, with their content, decides what is read."""

    @abstractmethod
    def _parse(self, files: Mapping[str, Path], progress: Progress) -> DataSet:
        """Return the data set that is in the raw files."""


def at_least(loader: Loader, least: int, **arguments: int | None) -> None:
    """Refuse arguments of a loader that are too small; None stands for no number.

    Raises:
        UserError: the sentence names the argument.
    """
    for name, value in arguments.items():
        if value is not None and value < least:
            raise UserError(f"{loader.kind}.{name}: found {value}, allowed are {least} or more")


def one_of(loader: Loader, argument: str, value: object, allowed: tuple[str, ...]) -> None:
    """Refuse an argument of a loader that is none of these words.

    Raises:
        UserError: the sentence names the argument.
    """
    if value not in allowed:
        raise UserError(
            f"{loader.kind}.{argument}: found {value!r}, allowed are {', '.join(allowed)}"
        )


def part(loader: Loader, argument: str, value: float) -> None:
    """Refuse an argument of a loader that is no fraction below the whole.

    Raises:
        UserError: the sentence names the argument.
    """
    if not 0 <= value < 1:
        raise UserError(f"{loader.kind}.{argument}: found {value}, allowed are 0 to below 1")


def user_folder(loader: Loader, folder: str) -> Path:
    """Return the folder of a user; a relative one starts at the working directory.

    Raises:
        UserError: there is no such folder.
    """
    path = Path(folder).expanduser()
    if not is_folder(path):
        raise UserError(
            f"{loader.kind}.folder: found no folder {folder!r} (looked for {path.absolute()})"
        )
    return path
