"""The pages. A request of htmx for the live part gets that part alone; it is morphed in, so nothing loses its focus."""

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, RedirectResponse, Response

from holdfast_admin import doctors
from holdfast_admin.audit import Person
from holdfast_admin.domain import board, convert, formats, points, strategies, words
from holdfast_admin.domain.views import PositionView, RecordView
from holdfast_admin.web import describe, guard
from holdfast_admin.web.access import LIFETIME_SECS
from holdfast_admin.web.api import NoteText
from holdfast_admin.web.context import Context
from holdfast_runtime.errors import Code, Refused
from holdfast_runtime.settings import Settings, VenueKind

FILTERS = (
    "money",
    "signed",
    "price",
    "quantity",
    "percent",
    "tone",
    "clock",
    "day_clock",
    "day_minute",
    "wall",
    "duration",
    "number",
)
LIVE = "live"
ROWS = 100
FEED_ROWS = 8
PAGES = (
    ("/", "overview", "Overview"),
    ("/strategies", "strategies", "Strategies"),
    ("/orders", "orders", "Orders"),
    ("/decisions", "decisions", "Decisions"),
    ("/health", "health", "Health"),
    ("/failure-points", "points", "Points"),
    ("/doctor", "doctor", "Doctor"),
    ("/kill-switch", "kill", "Kill switch"),
    ("/audit", "audit", "Audit"),
)


Subject = Annotated[str, Form(min_length=1, max_length=300)]
"""Id of the halt, name of the strategy."""
NoteField = Annotated[NoteText, Form()]
"""Why it is done, for the record."""


class LoginNeeded(Exception):
    """Raised by a page that was asked for without a session."""


def templates() -> Environment:
    """Templates with the formats of numbers and times as filters."""
    environment = Environment(
        loader=PackageLoader("holdfast_admin"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    for name in FILTERS:
        environment.filters[name] = getattr(formats, name)
    environment.filters.update(
        reason_words=words.reason,
        halt_words=words.halt,
        trade_words=words.trade_state,
        owner_words=_owner_words,
        sentence=words.sentence,
        opening=words.opening,
    )
    return environment


def _owner_words(position: PositionView) -> str:
    return words.exit_owner(position.exit_owner, position.protection)


def venue_label(settings: Settings) -> tuple[str, str]:
    """What money this is about, and its tone."""
    if settings.account.live:
        return "Live account", "live"
    if settings.venue.kind is VenueKind.ALPACA:
        return "Alpaca paper", "paper"
    return "Papermarket", "replay"


class Pages:
    """Renders and routes."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._templates = templates()
        self.router = APIRouter(include_in_schema=False)
        for path, method in (
            ("/", self.overview),
            ("/strategies", self.strategies),
            ("/orders", self.orders),
            ("/decisions", self.decisions),
            ("/health", self.health),
            ("/failure-points", self.failure_points),
            ("/doctor", self.doctor),
            ("/kill-switch", self.kill),
            ("/audit", self.audit),
            ("/docs", self.docs),
            ("/login", self.login_form),
        ):
            self.router.get(path)(method)
        self.router.post("/login")(self.login)
        self.router.post("/logout")(self.logout)
        self.router.post("/doctor")(self.examine)
        self.router.post("/kill-switch")(self.engage)
        self.router.post("/kill-switch/lift")(self.lift)
        self.router.post("/halts/clear")(self.clear)
        self.router.post("/strategies/stop")(self.stop)
        self.router.post("/strategies/start")(self.start)
        self.router.post("/broker-connection")(self.reconnect)

    # --- rendering

    def _person(self, request: Request) -> Person:
        found = guard.person_of(request, self._context.access)
        if found is None:
            raise LoginNeeded
        return found

    def _page(self, request: Request, name: str, title: str, values: Mapping[str, Any]) -> Response:
        person = self._person(request)
        part = request.headers.get("hx-request") == "true" and request.headers.get("hx-target") == LIVE
        query = f"?{request.url.query}" if request.url.query else ""
        label, tone = venue_label(self._context.settings)
        text = self._templates.get_template(f"parts/{name}.html" if part else "page.html").render(
            name=name,
            title=title,
            live_url=request.url.path + query,
            pages=PAGES,
            person=person,
            status=self._context.status(),
            rows=ROWS,
            wall_now=self._context.wall_clock.now(),
            venue=label,
            venue_tone=tone,
            **values,
        )
        return HTMLResponse(text)

    def _plain(self, template: str, status_code: int = 200, **values: Any) -> HTMLResponse:
        return HTMLResponse(self._templates.get_template(template).render(**values), status_code=status_code)

    # --- pages

    async def overview(self, request: Request) -> Response:
        context = self._context
        values = {
            "positions": board.positions(context.sources),
            "fills": context.fills(FEED_ROWS),
            "working": [each for each in context.orders(ROWS, only_open=True) if each.purpose != "stop"][:FEED_ROWS],
            "decisions": [convert.decision(each) for each in context.decisions()[:FEED_ROWS]],
            "has_curve": len(context.sources.curve.points()) > 1,
        }
        return self._page(request, "overview", "Overview", values)

    async def strategies(self, request: Request) -> Response:
        sources = self._context.sources
        values = {
            "strategies": strategies.views(sources),
            "connection": strategies.connection(sources),
            "told": sources.strategies.as_of is not None,
        }
        return self._page(request, "strategies", "Strategies", values)

    async def orders(self, request: Request) -> Response:
        found = self._context.orders(ROWS * 2)
        values = {
            "open_orders": [each for each in found if each.is_open],
            "closed_orders": [each for each in found if not each.is_open][:ROWS],
            "fills": self._context.fills(ROWS),
        }
        return self._page(request, "orders", "Orders and fills", values)

    async def decisions(self, request: Request, strategy: str = "", outcome: str = "", reason: str = "") -> Response:
        context, projection = self._context, self._context.sources.projection
        chosen = {"strategy": strategy, "outcome": outcome, "reason": reason}

        def link(**change: str) -> str:
            query = {key: value for key, value in (chosen | change).items() if value}
            return "/decisions" + (f"?{urlencode(query)}" if query else "")

        found = context.decisions(strategy=strategy, outcome=outcome, reason=reason)
        blocks = Counter(each.reason for each in context.decisions(strategy=strategy, outcome="blocked"))
        values = {
            "decisions": [convert.decision(each) for each in found[:ROWS]],
            "found": len(found),
            "known": len(projection.decisions),
            "strategies": projection.strategies(),
            "blocks": blocks.most_common(8),
            "chosen": chosen,
            "link": link,
        }
        return self._page(request, "decisions", "Decisions", values)

    async def health(self, request: Request) -> Response:
        return self._page(
            request,
            "health",
            "Health",
            {"health": board.health(self._context.sources), "execution_up": self._context.sources.execution.up},
        )

    async def failure_points(self, request: Request) -> Response:
        values = {"found": points.view(self._context.failure_points())}
        return self._page(request, "points", "Failure points", values)

    async def doctor(self, request: Request) -> Response:
        return self._page(request, "doctor", "Doctor", {"found": doctors.view(self._context.clinic)})

    async def kill(self, request: Request) -> Response:
        values = {
            "halts": board.halts(self._context.sources),
            "entries": [e for e in self._context.audit.newest() if e.action in ("engage", "lift", "clear")][:FEED_ROWS],
        }
        return self._page(request, "kill", "Kill switch", values)

    async def audit(self, request: Request) -> Response:
        log = [kept.body for kept in self._context.sources.projection.log.newest(ROWS)]
        record = [
            RecordView(event_id=e.event_id, kind=e.kind, summary=e.summary, recorded_at=e.recorded_at) for e in log
        ]
        return self._page(request, "audit", "Audit", {"entries": self._context.audit.newest(ROWS), "record": record})

    async def docs(self, request: Request) -> Response:
        schema = request.app.openapi()
        values = {"routes": describe.routes(schema), "schemas": describe.schemas(schema)}
        return self._page(request, "docs", "API", values)

    # --- login

    async def login_form(self, request: Request) -> Response:
        if self._context.access.session(guard.session_id(request)) is not None:
            return RedirectResponse("/", status_code=303)
        return self._plain("login.html", error="", who="")

    async def login(
        self, request: Request, token: Annotated[str, Form()] = "", who: Annotated[str, Form()] = ""
    ) -> Response:
        access = self._context.access
        guard.check_origin(request)
        person = Person(name=guard.clean_name(who, "operator"), via="page", remote=guard.remote(request))
        try:
            guard.admit(token.strip(), access, person.remote)
        except Refused as error:
            self._context.operations.login(person, "refused", str(error))
            status = 429 if error.code is Code.RESOURCE_EXHAUSTED else 401
            return self._plain("login.html", status_code=status, error=words.opening(str(error)), who=who)
        self._context.operations.login(person, "ok")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            guard.COOKIE,
            access.open_session(person.name),
            max_age=int(LIFETIME_SECS),
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
            path="/",
        )
        return answer

    async def logout(self, request: Request) -> Response:
        guard.check_origin(request)
        self._context.access.close_session(guard.session_id(request))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(guard.COOKIE, path="/")
        return answer

    # --- actions

    async def examine(self, request: Request) -> Response:
        person = self._person(request)
        await doctors.ask(self._context.clinic, self._context.operations, person)
        return self._plain("parts/done.html", text="Every service examines its edges now.")

    async def engage(self, request: Request, reason: Annotated[str, Form(max_length=300)] = "") -> Response:
        person = self._person(request)
        await self._context.operations.engage(person, reason.strip() or "engaged by hand")
        return self._plain("parts/done.html", text="Kill switch engaged: no new entries. Stops stay at the broker.")

    async def lift(
        self,
        request: Request,
        note: Annotated[str, Form(max_length=300)] = "",
        word: Annotated[str, Form(max_length=20)] = "",
    ) -> Response:
        person = self._person(request)
        if word.strip().upper() != "LIFT" or len(note.strip()) < 3:
            return self._plain("parts/problem.html", 422, text="Write why it is safe, and type LIFT to confirm.")
        await self._context.operations.lift(person, note.strip())
        return self._plain("parts/done.html", text="Kill switch lifted: entries are taken again.")

    async def clear(self, request: Request, halt_id: Subject, note: NoteField) -> Response:
        person = self._person(request)
        await self._context.operations.clear(person, halt_id, note)
        return self._plain("parts/done.html", text="The halt is cleared.")

    async def stop(self, request: Request, strategy: Subject, note: NoteField) -> Response:
        person = self._person(request)
        await self._context.strategies.stop(person, strategy, note)
        return self._plain("parts/done.html", text=f"{strategy} is stopped: it opens nothing until it is started.")

    async def start(self, request: Request, strategy: Subject, note: NoteField) -> Response:
        person = self._person(request)
        await self._context.strategies.start(person, strategy, note)
        return self._plain("parts/done.html", text=f"{strategy} is started: it enters again at its next signal.")

    async def reconnect(self, request: Request, note: NoteField) -> Response:
        person = self._person(request)
        await self._context.reconnection.reconnect(person, note)
        return self._plain("parts/done.html", text="The broker takes the credentials. Start what has failed.")
