"""A server for this machine alone: it listens on the loopback address, reads run folders, writes nothing."""

import base64
import hashlib
import mimetypes
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from jinja2 import Environment
from markupsafe import Markup

from tutelage.errors import UserError
from tutelage.report.page import environment_of
from tutelage.report.serve.data import folders, going, standing

__all__ = ["ADDRESS", "live_server"]

ADDRESS = "127.0.0.1"
SHOWN = {".html", ".csv", ".md", ".tex", ".xlsx", ".png", ".svg", ".pdf"}
FOLDERS = {"report", "tables", "tune", "audit"}
"""Files are served from folders of these names alone: never a checkpoint, a log or a data set."""
SECONDS = 5
"""Until a page is asked for again."""


def live_server(runs: Path, port: int = 0) -> ThreadingHTTPServer:
    """Return a server of a folder of runs, bound and not yet serving.

    Args:
        runs: holds studies and experiments.
        port: 0 takes one that is free.

    Raises:
        UserError: no such folder, or the port is taken.
    """
    if not runs.is_dir():
        raise UserError(f"{runs}: there is no such folder; allowed: a folder of runs, such as runs")
    try:
        return ThreadingHTTPServer((ADDRESS, port), partial(_Handler, runs.resolve()))
    except OSError as error:
        raise UserError(f"--port {port}: {error.strerror or error}") from None


def _script(environment: Environment) -> str:
    """Return what reads a live page again."""
    loader = environment.loader
    assert loader is not None
    return loader.get_source(environment, "refresh.js")[0]


def _allowed(environment: Environment) -> str:
    """Return what the policy of a live page adds: that very script, and questions to this server."""
    digest = hashlib.sha256(_script(environment).encode()).digest()
    return f"; script-src 'sha256-{base64.b64encode(digest).decode()}'; connect-src 'self'"


class _Handler(BaseHTTPRequestHandler):
    """Answers GET alone."""

    def __init__(self, runs: Path, *args: object) -> None:
        self.runs = runs
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        """Answer with a page or a file."""
        _, port = self.connection.getsockname()[:2]
        # A page elsewhere whose name is pointed to this machine would read along; its name gives it away.
        if self.headers.get("Host") not in {f"{ADDRESS}:{port}", f"localhost:{port}"}:
            self._refuse(HTTPStatus.FORBIDDEN, "asked under another name than this machine's")
            return
        parts = [unquote(part) for part in urlsplit(self.path).path.split("/") if part]
        if not parts:
            self._page(
                "live.html.j2",
                runs=self.runs,
                standings=[standing(one) for one in folders(self.runs)],
            )
        elif parts[0] == "files":
            self._file(parts[1:])
        else:
            self._standing(parts)

    def _standing(self, parts: list[str]) -> None:
        known = {one.name: one for one in folders(self.runs)}
        if len(parts) != 1 or parts[0] not in known:
            self._refuse(HTTPStatus.NOT_FOUND, "no such study or experiment")
            return
        now = standing(known[parts[0]])
        self._page("standing.html.j2", standing=now, going=going(now.status) if now.status else ())

    def _file(self, parts: list[str]) -> None:
        """Send a file of a report; what is outside of reports is not there."""
        path = self.runs.joinpath(*parts).resolve() if parts else self.runs
        inside = path.is_relative_to(self.runs) and ".." not in parts
        named = set(path.parts[len(self.runs.parts) : -1]) & FOLDERS
        if not inside or not named or path.suffix not in SHOWN or not path.is_file():
            self._refuse(HTTPStatus.NOT_FOUND, "no such page")
            return
        kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        self._send(HTTPStatus.OK, path.read_bytes(), kind)

    def _page(self, template: str, **values: object) -> None:
        environment = environment_of()
        text = environment.get_template(template).render(
            seconds=SECONDS, script=Markup(_script(environment)), **values
        )
        self._send(HTTPStatus.OK, text.encode(), "text/html; charset=utf-8", _allowed(environment))

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._send(status, f"{status.value} {why}\n".encode(), "text/plain; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes, kind: str, allowed: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header(
            "Content-Security-Policy",
            f"default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:{allowed}",
        )
        with suppress(ConnectionError):  # whoever asked has gone
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *args: object) -> None:
        """Say nothing of each request."""
