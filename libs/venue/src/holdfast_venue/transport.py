"""One request in one thread: alpaca-py's client over kept connections that ask before the first byte leaves.

What is changed of the client: no hidden retry (it would send an order again, trap 1), a timeout (it has none, trap 2),
numbers read as Decimal (trap 7), and the session beneath it.
The base class is used rather than TradingClient, which imports pandas: 50 MB in each process.
"""

import json
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from http.client import HTTPException
from typing import Any
from urllib.parse import urlencode, urlsplit

import requests
from alpaca.common.exceptions import APIError
from alpaca.common.rest import RESTClient
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from holdfast_runtime.ports.clock import MonotonicClock
from holdfast_runtime.ports.venue import NotSent
from holdfast_venue.access import Credentials

MAX_BODY_BYTES = 32 * 2**20
HEADERS = {"Accept": "*/*", "Accept-Encoding": "gzip, deflate"}
JSON_HEADERS = {"Content-Type": "application/json"}
HTTP_BAD_REQUEST = 400


class NoAnswer(Exception):
    """No readable HTTP answer came. `sent`: False where nothing had left this machine."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.sent = sent


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer. `body` is the parsed JSON; None where there is none or it cannot be parsed."""

    status: int
    body: Any
    text: str
    reset_secs: float = 0.0
    """Seconds until the rate limit opens, of a 429."""

    @property
    def ok(self) -> bool:
        return 200 <= self.status < 300

    @property
    def message(self) -> str | None:
        """The venue's own words in a refusal; None where the body is not the venue's (HTML of a gateway)."""
        message = self.body.get("message") if isinstance(self.body, dict) else None
        return message if isinstance(message, str) else None

    @property
    def code(self) -> str:
        return str(self.body.get("code", "")) if isinstance(self.body, dict) else ""


@dataclass(slots=True)
class Attempt:
    """One request on its way: shared by the loop, which may give it up, and the thread that sends it."""

    credentials: Credentials
    clock: MonotonicClock
    last_write_at_secs: float
    timeout_secs: float
    on_write: Callable[[], None] = lambda: None
    """Called in the sending thread, just before the first byte leaves."""
    sent: bool = False
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    _given_up: bool = False
    _socket: socket.socket | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def about_to_write(self, connected: socket.socket) -> None:
        """The last look before the first byte, in the sending thread. Raises NotSent (order protocol, point 4)."""
        with self._lock:
            if self.sent:
                return
            if self._given_up or self.clock.now_secs() > self.last_write_at_secs:
                raise NotSent("the last instant for a socket write has passed")
            self.sent = True
            self._socket = connected
        self.on_write()

    def give_up(self) -> None:
        """Nothing is written after this; a thread that waits for the answer is woken."""
        with self._lock:
            self._given_up = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)


_under_way = threading.local()


class _Guarded(HTTPConnection):
    """Asks the attempt of this thread before the first byte of a request, when the connection stands."""

    def send(self, data: Any) -> None:
        if self.sock is None:
            self.connect()
        # What opens a tunnel through a proxy is not the request yet.
        if self.sock is not None and (self.proxy is None or self.has_connected_to_proxy):
            _under_way.attempt.about_to_write(self.sock)
        super().send(data)


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Guarded


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _GuardedTls


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, **kwargs)
        manager.pool_classes_by_scheme = {"http": _Pool, "https": _TlsPool}
        return manager


@dataclass(frozen=True, slots=True)
class _Response:
    """What alpaca-py looks at of an answer."""

    status_code: int
    content: bytes

    @property
    def text(self) -> str:
        return self.content.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.content, parse_float=Decimal)  # trap 7

    def raise_for_status(self) -> None:
        if self.status_code >= HTTP_BAD_REQUEST:
            raise requests.HTTPError(f"HTTP {self.status_code}")


class Session:
    """In the place of alpaca-py's session, with the one method that it sends by: one request on a kept connection.

    `requests` itself takes twice as long, for cookies, hooks and redirects that an order has none of. Its rules for
    proxies and certificates hold: they are asked once.
    """

    def __init__(self, base_url: str, workers: int, *, use_proxies: bool) -> None:
        with requests.Session() as rules:
            rules.trust_env = use_proxies
            found = rules.merge_environment_settings(base_url, {}, False, None, None)
        adapter = _Adapter(pool_connections=1, pool_maxsize=workers, max_retries=0)
        request = requests.Request("GET", base_url).prepare()
        pool = adapter.get_connection_with_tls_context(request, found["verify"], found["proxies"], found["cert"])
        adapter.cert_verify(pool, base_url, found["verify"], found["cert"])  # type: ignore[no-untyped-call]
        assert isinstance(pool, HTTPConnectionPool)
        self._pool = pool

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str] | None = None,
        json: Any = None,
        allow_redirects: bool = False,
    ) -> _Response:
        """Sends once and reads the answer. Raises what urllib3 raises."""
        assert not allow_redirects, "an order is sent where it is meant to go, and nowhere else"
        attempt: Attempt = _under_way.attempt
        target = urlsplit(url).path + (f"?{urlencode(params)}" if params else "")
        body = None if json is None else _encode(json)
        answer = self._pool.urlopen(
            method,
            target,
            body=body,
            headers={**HEADERS, **headers, **({} if body is None else JSON_HEADERS)},
            retries=False,
            redirect=False,
            timeout=attempt.timeout_secs,
        )
        attempt.status, attempt.headers = answer.status, answer.headers
        if len(answer.data) > MAX_BODY_BYTES:
            raise HTTPError("the answer is absurdly long")
        return _Response(answer.status, answer.data)

    def close(self) -> None:
        self._pool.close()


class Rest(RESTClient):
    """alpaca-py's client without its retries, authenticating with the credentials of the attempt."""

    def __init__(self, base_url: str, session: Session, version: str) -> None:
        super().__init__(
            base_url=base_url, api_key="from the attempt", secret_key="from the attempt", api_version=version
        )
        self._retry = 0
        self._retry_codes = []
        self._session.close()
        self._session = session  # type: ignore[assignment]  # it has what the client uses

    def _get_auth_headers(self) -> dict[str, str]:
        credentials = _under_way.attempt.credentials
        return {"APCA-API-KEY-ID": credentials.key, "APCA-API-SECRET-KEY": credentials.secret}

    def perform(self, attempt: Attempt, method: str, path: str, data: Any) -> Answer:
        """Sends one request in this thread. Raises NotSent and NoAnswer."""
        _under_way.attempt = attempt
        try:
            body = self._request(method, path, data)
            return Answer(attempt.status, body, "")
        except APIError as error:
            # Its `code` raises where the body is HTML (trap 3): read it here.
            return _refusal(attempt.status, str(error))
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            raise NoAnswer(type(error).__name__, sent=attempt.sent) from error


def _encode(body: Any) -> bytes:
    return json.dumps(body, allow_nan=False).encode()


def _refusal(status: int, text: str) -> Answer:
    try:
        return Answer(status, json.loads(text), text)
    except ValueError:
        return Answer(status, None, text)
