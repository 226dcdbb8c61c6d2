"""Where a pinned file is: asks the registry that the user's own pip or npm is set up for."""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import TypeVar
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit
from urllib.request import url2pathname

from tutelage.errors import UserError

Result = TypeVar("Result")

TIMEOUT = (5.0, 30.0)  # seconds to connect, and without a byte
_ATTEMPTS = 3
_WAIT = 1.0  # seconds before the second attempt, doubled each time
_PATIENCE = 30.0  # seconds for pip or npm to answer
_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1"


class UnreachableError(UserError):
    """The server does not answer: there is no network, or it is set up wrongly."""


def host(address: str) -> str:
    """Return where an address points, without a password that may be in it."""
    parts = urlsplit(address)
    return parts.hostname or parts.path


def trusted(certificate: str | None) -> str | bool:
    """Return the file of certificates to trust, by default the system's.

    Raises:
        UserError: there is no such file.
    """
    if certificate is not None and not Path(certificate).exists():
        raise UserError(f"data: found no certificates in {certificate}")
    return certificate or ssl.get_default_verify_paths().cafile or True


def patiently(address: str, use: Callable[[], Result]) -> Result:
    """Return what a function of requests returns; tries again when the network fails, not when the answer is no.

    Args:
        address: what is asked, for the sentence.
        use: asks and reads the answer; called again from the start after a failure.

    Raises:
        HTTPError: the server says no.
        UnreachableError: there is no whole answer after three attempts.
    """
    import requests

    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return use()
        except requests.RequestException as error:
            response = error.response
            if response is not None and response.status_code < 500 and response.status_code != 429:
                raise  # a definite no
            if attempt == _ATTEMPTS:
                reason = response.status_code if response is not None else type(error).__name__
                raise UnreachableError(
                    f"data: {host(address)} cannot be reached ({reason})"
                ) from error
        time.sleep(_WAIT * 2 ** (attempt - 1))
    raise AssertionError("at least one attempt is made")


class _Links(HTMLParser):
    """Collect {file name: address} from the anchors of a simple-index page."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        href = dict(attrs).get("href") if tag == "a" else None
        if href:
            name = unquote(urlsplit(href).path.rsplit("/", 1)[-1])
            self.found[name] = href


def index_files(page: bytes, kind: str, address: str) -> dict[str, str]:
    """Return {file name: address} of a project page of a simple index (PEP 503 or PEP 691).

    Args:
        page: body of the answer.
        kind: its content type.
        address: where the page came from; relative links start there.

    Raises:
        UserError: the page is no such page.
    """
    if "json" in kind:
        try:
            found = {entry["filename"]: entry["url"] for entry in json.loads(page)["files"]}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"data: {host(address)} answers with no package index") from error
    else:
        links = _Links()
        links.feed(page.decode("utf-8", errors="replace"))
        found = links.found
    return {name: urljoin(address, link) for name, link in found.items()}


def pip_settings() -> dict[str, str]:
    """Return pip's own settings by their last name; the environment wins over files."""
    text, _ = _say([sys.executable, "-m", "pip", "config", "list"])
    lines = re.findall(r"^(\S+)\.([\w-]+)='(.*)'$", text, flags=re.MULTILINE)
    order = {"global": 0, "install": 1, "download": 2, ":env:": 3}
    ranked = sorted((line for line in lines if line[0] in order), key=lambda line: order[line[0]])
    settings = {name: value for _, name, value in ranked}
    for name in ("index-url", "extra-index-url", "cert"):  # also where there is no pip
        value = os.environ.get("PIP_" + name.upper().replace("-", "_"))
        if value:
            settings[name] = value
    return settings


def _say(command: list[str]) -> tuple[str, str]:
    """Return what a command prints, and its complaints; nothing if it fails or takes too long."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired:
        return "", f"no answer in {_PATIENCE} seconds"
    return ("" if done.returncode else done.stdout), done.stderr


def indexes(settings: dict[str, str]) -> list[str]:
    """Return the addresses of the simple indexes to ask, in pip's order.

    Raises:
        UserError: none is set, and there is no pip that would know the default.
    """
    found = settings.get("index-url", "").split()
    if not found:
        try:
            from pip._internal.models.index import PyPI
        except ImportError:
            raise UserError(
                "data: the address of the package index is not known, because this Python has no "
                "pip; set PIP_INDEX_URL, or install pip"
            ) from None
        found = [str(PyPI.simple_url)]
    return found + settings.get("extra-index-url", "").split()


def from_pip(project: str, file: str) -> tuple[str, str | None]:
    """Return the address of a file of a project, and the certificate file pip is set up with.

    Raises:
        UserError: no index has the file.
        UnreachableError: no index has it, and at least one does not answer.
    """
    settings = pip_settings()
    certificate = settings.get("cert")
    failures: list[UnreachableError] = []
    for index in indexes(settings):
        try:
            files = _ask(index, project, certificate)
        except UnreachableError as error:
            failures.append(error)
            continue
        if file in files:
            return _with_login(files[file], index), certificate
    if failures:
        raise failures[0]
    raise UserError(f"data: the package index has no file {file} (project {project})")


def _ask(index: str, project: str, certificate: str | None) -> dict[str, str]:
    """Return the files of a project on one index; none if the index does not have it."""
    import requests

    page = f"{index.rstrip('/')}/{re.sub(r'[-_.]+', '-', project).lower()}/"
    if page.startswith("file:"):
        file = Path(url2pathname(urlsplit(page).path)) / "index.html"
        return index_files(file.read_bytes(), "text/html", page) if file.exists() else {}

    def read() -> requests.Response:
        answer = requests.get(
            page, headers={"Accept": _ACCEPT}, timeout=TIMEOUT, verify=trusted(certificate)
        )
        answer.raise_for_status()
        return answer

    try:
        answer = patiently(page, read)
    except requests.HTTPError:
        return {}
    return index_files(answer.content, answer.headers.get("Content-Type", ""), answer.url)


def _with_login(address: str, index: str) -> str:
    """Return the address with the login of the index, if both are on one server."""
    there, here = urlsplit(address), urlsplit(index)
    same = (there.scheme, there.hostname, there.port) == (here.scheme, here.hostname, here.port)
    if same and here.username and not there.username:
        there = there._replace(netloc=here.netloc)
    return urlunsplit(there)


def from_npm(project: str, version: str) -> tuple[str, str | None]:
    """Return the address of the archive of an npm package, and npm's certificate file.

    Raises:
        UserError: there is no npm, or no such package.
        UnreachableError: the registry does not answer.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise UserError(f"data: npm is needed to find {project}; install Node.js with npm")
    text, complaint = _say([npm, "view", f"{project}@{version}", "dist.tarball"])
    if not text.strip():
        codes = re.findall(r"code (E\w+)", complaint)
        kind = UserError if "E404" in codes else UnreachableError
        reason = ", ".join(codes) or "no answer"
        raise kind(f"data: npm does not find {project} {version} ({reason})")
    return text.strip(), os.environ.get("NODE_EXTRA_CA_CERTS")
