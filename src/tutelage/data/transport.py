"""Opening an address patiently: logins, certificates, busy servers, cut connections."""

import base64
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException
from typing import Any, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import Request, urlopen

from tutelage.errors import UserError

Result = TypeVar("Result")

_ACCEPT = "application/vnd.pypi.simple.v1+json, text/html;q=0.5, */*;q=0.1"
_ATTEMPTS = 3
_WAIT = 1.0  # seconds before the second attempt, doubled each time
_TIMEOUT = 60.0  # seconds without an answer


class UnreachableError(UserError):
    """The registry does not answer: there is no network, or it is set up wrongly."""


def place(address: str) -> str:
    """Return where an address points, without a password that may be in it."""
    parts = urlsplit(address)
    return parts.hostname or parts.path


def patiently(address: str, certificate: str | None, use: Callable[[Any], Result]) -> Result:
    """Return ``use(answer)``; tries again when the network fails, not when the answer is no.

    Args:
        address: what to open; a user name and password in it become a header.
        certificate: file of certificates to trust, default those of the system.
        use: reads the answer; called again from the start after a failure.

    Raises:
        HTTPError: the server says no.
        UnreachableError: there is no whole answer after three attempts.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with _open(address, certificate) as answer:
                return use(answer)
        except HTTPError as error:
            if error.code < 500 and error.code != 429:  # a definite no
                raise
            failure: Exception = error
        except (URLError, HTTPException, TimeoutError, ConnectionError) as error:
            failure = error
        if attempt + 1 < _ATTEMPTS:
            time.sleep(_WAIT * 2**attempt)
    raise UnreachableError(f"data: {place(address)} cannot be reached ({failure})") from failure


def _open(address: str, certificate: str | None) -> Any:
    parts = urlsplit(address)
    login = None
    if parts.username:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        login = "Basic " + base64.b64encode(secret.encode()).decode()
        parts = parts._replace(netloc=parts.netloc.rsplit("@", 1)[1])
    headers = {"Accept": _ACCEPT, "User-Agent": "tutelage"}
    request = Request(urlunsplit(parts), headers=headers)
    if login:
        request.add_unredirected_header("Authorization", login)  # not for another server
    context = _trust(certificate) if parts.scheme == "https" else None
    return urlopen(request, timeout=_TIMEOUT, context=context)


def _trust(certificate: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=certificate)
    except OSError as error:
        raise UserError(f"data: found no certificates in {certificate} ({error})") from error
