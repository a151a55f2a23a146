"""What stands around every request: bounded bodies, security headers, the origin check, and who is asking (SE-7)."""

from http.cookies import SimpleCookie
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast_admin.audit import Person
from holdfast_admin.web.access import Access, Verdict
from holdfast_runtime.errors import Code, Refused

COOKIE = "holdfast_session"
OWN_HEADER = "X-Holdfast"
"""Set by our own pages on every request that changes something: a foreign page cannot without leave."""
OPERATOR_HEADER = "X-Operator"
MAX_BODY_BYTES = 16 * 1024
MAX_NAME_CHARS = 48
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class BodyTooLarge(Exception):
    """Raised inside the application when a body grows beyond its bound."""


class Shield:
    """ASGI middleware: refuses large bodies, and puts the security headers on every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = False
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        async def armoured(message: Message) -> None:
            nonlocal began
            if message["type"] == "http.response.start":
                began = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        length = Headers(scope=scope).get("content-length", "0")
        try:
            if not length.isdigit() or int(length) > MAX_BODY_BYTES:
                raise BodyTooLarge
            await self._app(scope, bounded, armoured)
        except BodyTooLarge:
            if not began:
                problem = {"code": "BODY_TOO_LARGE", "message": f"a request holds at most {MAX_BODY_BYTES} bytes"}
                await JSONResponse(problem, status_code=413)(scope, receive, armoured)


def remote(request: Request) -> str:
    """The peer's address."""
    return request.client.host if request.client else "unknown"


def session_id(request: Request) -> str | None:
    """The session named by the cookie, as sent."""
    cookie = SimpleCookie(request.headers.get("cookie", "")).get(COOKIE)
    return cookie.value if cookie else None


def clean_name(text: str | None, default: str) -> str:
    """A person's name for the audit: printable, one line, bounded."""
    shown = "".join(char for char in text or "" if char.isprintable()).strip()[:MAX_NAME_CHARS]
    return shown or default


def check_origin(request: Request) -> None:
    """Refuses a request that a foreign page made. Raises Refused FOREIGN_ORIGIN."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    foreign = site not in (None, "same-origin", "none")
    if origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        foreign = True
    if foreign:
        raise Refused(Code.PERMISSION_DENIED, "FOREIGN_ORIGIN", "this request comes from another site's page")


def person_of(request: Request, access: Access) -> Person | None:
    """Who asks, by session or bearer token; None where neither is there, or the session is over.

    Raises Refused: NO_TOKEN, WRONG_TOKEN, TOO_MANY_FAILURES, FOREIGN_ORIGIN (a session alone may change nothing from
    afar).
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _bearer(request, access, authorization)
    session = access.session(session_id(request))
    if session is None:
        return None
    if request.method not in SAFE_METHODS:
        check_origin(request)
        if OWN_HEADER not in request.headers:
            message = f"a session's request that changes something carries the header {OWN_HEADER}"
            raise Refused(Code.PERMISSION_DENIED, "FOREIGN_ORIGIN", message)
    return Person(name=session.who, via="page", remote=remote(request))


def _bearer(request: Request, access: Access, authorization: str) -> Person:
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() != "bearer":
        raise Refused(Code.UNAUTHENTICATED, "NO_TOKEN", "Authorization says Bearer <token>")
    admit(token.strip(), access, remote(request))
    name = clean_name(request.headers.get(OPERATOR_HEADER), "api")
    return Person(name=name, via="api", remote=remote(request))


def admit(token: str, access: Access, address: str) -> None:
    """Lets the right token pass. Raises Refused, which says why: NO_TOKEN, WRONG_TOKEN, TOO_MANY_FAILURES."""
    if not token:
        raise Refused(Code.UNAUTHENTICATED, "NO_TOKEN", "no token was given")
    verdict = access.check(token, address)
    if verdict is Verdict.REFUSED:
        raise Refused(Code.UNAUTHENTICATED, "WRONG_TOKEN", "this is not the token of this stack")
    if verdict is Verdict.LIMITED:
        wait_secs = int(access.guesses.wait_secs(address)) + 1
        raise Refused(
            Code.RESOURCE_EXHAUSTED,
            "TOO_MANY_FAILURES",
            f"too many wrong tokens: try again in {wait_secs} s",
            {"retry_after_secs": str(wait_secs)},
        )
