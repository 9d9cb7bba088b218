"""RabbitMQ's management API over HTTP or HTTPS: what `provision` asks of it, and its errors made ours."""

import base64
import http.client
import json
import os
import ssl
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, unquote, urlsplit

from iec62746 import AuthenticationFailed, InvalidAddress, LocalError, PermissionDenied, Unreachable

PASSWORD: Final = "IEC62746_ADMIN_PASSWORD"
"""The environment variable that holds the administrator's password, where the URL does not."""
PASSWORD_FILE: Final = "IEC62746_ADMIN_PASSWORD_FILE"
"""The environment variable that names a file which holds it."""
TIMEOUT: Final = 60.0
"""Seconds that one answer may take."""

_PORTS: Final = {"http": 15672, "https": 15671}
_HOW: Final = "write the URL of the management API like https://ADMIN@HOST:15671"
_LONGEST: Final = 67_108_864


class Management:
    """The management API at a URL like `https://ADMIN@HOST:15671`; redirects are not followed, proxies not asked."""

    def __init__(self, url: str) -> None:
        """Read `url`; raises `InvalidAddress`, in which no password is shown, or `AuthenticationFailed` without one."""
        try:
            parts = urlsplit(url)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise InvalidAddress(_HOW) from None
        if parts.scheme not in _PORTS or not host or parts.query or parts.fragment:
            raise InvalidAddress(_HOW)
        if not parts.username:
            raise InvalidAddress(f"say which administrator, as in {parts.scheme}://ADMIN@{host}")
        self.user = unquote(parts.username)
        self.where = f"{parts.scheme}://{host}:{port or _PORTS[parts.scheme]}"
        password = unquote(parts.password) if parts.password else _password(self.user)
        self._headers = {
            "Authorization": "Basic " + base64.b64encode(f"{self.user}:{password}".encode()).decode(),
            "Content-Type": "application/json",
        }
        self._is_tls, self._host, self._port = parts.scheme == "https", host, port or _PORTS[parts.scheme]
        self._path = parts.path.rstrip("/") + "/api"

    def get(self, *path: str) -> Any:
        """Return the JSON at `path`."""
        try:
            return json.loads(self._ask("GET", path)[1])
        except ValueError as exc:
            raise Unreachable(f"{self.where} does not answer as a management API: what it says is no JSON") from exc

    def post(self, what: object, *path: str) -> None:
        """Post `what`, as JSON."""
        self._ask("POST", path, json.dumps(what))

    def delete(self, *path: str) -> None:
        """Delete what is at `path`; it is no error if nothing is."""
        self._ask("DELETE", path, absent_is_fine=True)

    def _ask(
        self, method: str, path: tuple[str, ...], body: str | None = None, *, absent_is_fine: bool = False
    ) -> tuple[int, bytes]:
        """Return status and body of the answer, if it is a good one."""
        target = "/".join((self._path, *(quote(part, safe="~") for part in path)))
        connection = self._connection()
        try:
            connection.request(method, target, body, self._headers)
            answer = connection.getresponse()
            status, text = answer.status, answer.read(_LONGEST)
        except (OSError, http.client.HTTPException) as exc:
            hint = "see whether its plugin rabbitmq_management is enabled"
            raise Unreachable(f"{self.where} does not answer as a management API: {exc}: {hint}") from exc
        finally:
            connection.close()
        if status // 100 == 2 or (status == 404 and absent_is_fine):
            return status, text
        what = f"{method} {'/'.join(path)}"
        if status in (401, 403):
            raise AuthenticationFailed(f"{self.where} refuses {self.user}: it takes an administrator's password")
        if status == 404:
            raise PermissionDenied(f"{self.where} knows nothing at {what}: is it the management API?")
        raise RefusedByBroker(f"{self.where} refuses {what} ({status}): {_reason(text)}")

    def _connection(self) -> http.client.HTTPConnection:
        if self._is_tls:
            context = ssl.create_default_context()
            return http.client.HTTPSConnection(self._host, self._port, timeout=TIMEOUT, context=context)
        return http.client.HTTPConnection(self._host, self._port, timeout=TIMEOUT)


class RefusedByBroker(LocalError):
    """The communication server does not take a definition."""


def _password(user: str) -> str:
    """Return the password that the environment gives."""
    if PASSWORD in os.environ:
        return os.environ[PASSWORD]
    name = os.environ.get(PASSWORD_FILE)
    if not name:
        raise AuthenticationFailed(f"there is no password for {user}: set {PASSWORD_FILE}, or {PASSWORD}")
    try:
        return Path(name).read_text("utf-8").strip()
    except OSError as exc:
        raise AuthenticationFailed(f"{name} ({PASSWORD_FILE}) cannot be read: {exc.strerror}") from exc


def _reason(text: bytes) -> str:
    """Return what the broker says, short."""
    try:
        said = json.loads(text)
    except ValueError:
        return text[:200].decode("utf-8", "replace")
    return str(said.get("reason", said) if isinstance(said, dict) else said)[:500]
