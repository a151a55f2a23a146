"""The FastAPI application: routes, static files, and typed errors as answers."""

from importlib import resources
from pathlib import Path

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles

from holdfast_admin.domain import words
from holdfast_admin.web.api import build_api
from holdfast_admin.web.context import Context
from holdfast_admin.web.guard import Shield
from holdfast_admin.web.pages import LoginNeeded, Pages, templates
from holdfast_runtime.errors import Code, HoldfastError, Refused, Retry

STATUS_CODES = {
    Code.INVALID_ARGUMENT: 400,
    Code.UNAUTHENTICATED: 401,
    Code.PERMISSION_DENIED: 403,
    Code.NOT_FOUND: 404,
    Code.FAILED_PRECONDITION: 409,
    Code.ALREADY_EXISTS: 409,
    Code.ABORTED: 409,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.UNAVAILABLE: 503,
    Code.DEADLINE_EXCEEDED: 504,
}
TITLES = {
    403: "Not allowed",
    404: "Page not found",
    405: "That is not done here",
    500: "Something went wrong",
    503: "Not now",
}
"""What a page says in large letters; other statuses have their code's words."""
EXPLAINED = {
    404: "There is no page at this address.",
    405: "This address is not for opening, or nothing can be sent to it.",
}
"""For a person, in place of HTTP's own words."""
API = "/api/"
OPENAPI = "/api/openapi.json"
ASSET_AGE_SECS = 300

log = structlog.get_logger()


class Assets(StaticFiles):
    """Our own files; nothing is ever loaded from elsewhere."""

    def file_response(self, *args: object, **kwargs: object) -> Response:
        answer = super().file_response(*args, **kwargs)  # type: ignore[arg-type]  # passed on as they came
        answer.headers["Cache-Control"] = f"public, max-age={ASSET_AGE_SECS}"
        return answer


def build_app(context: Context) -> FastAPI:
    """The application. Its state is `context`."""
    app = FastAPI(
        title="Holdfast admin",
        version="1",
        description="Operate a Holdfast stack. Every call carries `Authorization: Bearer <token>`.",
        docs_url=None,
        redoc_url=None,
        openapi_url=OPENAPI,
    )
    app.state.context = context
    app.add_middleware(Shield)
    app.include_router(build_api(context))
    app.include_router(Pages(context).router)
    with resources.as_file(resources.files("holdfast_admin") / "static") as folder:
        app.mount("/static", Assets(directory=Path(folder)), name="static")
    errors = templates()

    def problem(request: Request, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> Response:  # fmt: skip  # noqa: E501
        if request.url.path.startswith(API):
            return JSONResponse({"code": code, "message": message}, status, headers)
        template = "parts/problem.html" if request.headers.get("hx-request") == "true" else "problem.html"
        title, text = TITLES.get(status) or words.sentence(code), EXPLAINED.get(status, message)
        return HTMLResponse(errors.get_template(template).render(title=title, text=text), status, headers)

    async def on_typed(request: Request, error: Exception) -> Response:
        match error:
            case Refused():
                headers = {}
                if error.code is Code.UNAUTHENTICATED:
                    headers["WWW-Authenticate"] = "Bearer"
                if wait := error.metadata.get("retry_after_secs"):
                    headers["Retry-After"] = wait
                return problem(request, STATUS_CODES.get(error.code, 500), error.reason, str(error), headers)
            case Retry():
                headers = {"Retry-After": str(max(1, round(error.after_secs)))}
                return problem(request, 503, "UNAVAILABLE", str(error), headers)
            case _:
                return problem(request, 500, type(error).__name__.upper(), str(error))

    async def on_login_needed(request: Request, _: Exception) -> Response:
        if request.headers.get("hx-request") == "true":
            return Response(status_code=401, headers={"HX-Redirect": "/login"})
        return RedirectResponse("/login", status_code=303)

    async def on_invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query"))
        return problem(request, 422, "INVALID", f"{where}: {first['msg']}" if where else first["msg"])

    async def on_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return problem(request, error.status_code, f"HTTP_{error.status_code}", str(error.detail))

    async def on_unexpected(request: Request, error: Exception) -> Response:
        log.error("admin.request_failed", path=request.url.path, error=type(error).__name__)
        return problem(request, 500, "INTERNAL", "this went wrong inside admin; its log says more")

    app.add_exception_handler(HoldfastError, on_typed)
    app.add_exception_handler(LoginNeeded, on_login_needed)
    app.add_exception_handler(RequestValidationError, on_invalid)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(Exception, on_unexpected)
    return app
