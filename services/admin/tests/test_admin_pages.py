"""The pages: login, sessions, requests from afar, headers, and no page that breaks while nothing is known (SE-7)."""

import re

import httpx
import pytest

from holdfast.execution.v1 import execution_pb2 as pb
from holdfast_admin.domain import board
from holdfast_admin.domain.views import AuditEntry
from holdfast_admin.web.access import FAILURES_PER_ADDRESS, IDLE_SECS, MAX_SESSIONS

from .conftest import NOW, TOKEN, Admin, Facts

PAGES = (
    "/",
    "/strategies",
    "/orders",
    "/decisions",
    "/health",
    "/failure-points",
    "/doctor",
    "/kill-switch",
    "/audit",
    "/docs",
)
OWN = {"X-Holdfast": "1", "Origin": "http://admin.test", "Sec-Fetch-Site": "same-origin"}


async def sign_in(client: httpx.AsyncClient, token: str = TOKEN, **headers: str) -> httpx.Response:
    return await client.post("/login", data={"token": token, "who": "ada"}, headers=headers)


async def test_without_a_session_every_page_leads_to_the_login(admin: Admin) -> None:
    async with admin.client() as client:
        for page in PAGES:
            answer = await client.get(page)
            assert (answer.status_code, answer.headers["location"]) == (303, "/login")
        part = await client.get("/", headers={"HX-Request": "true", "HX-Target": "live"})
        assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")


async def test_a_wrong_token_is_refused_with_a_clear_error_and_audited(admin: Admin) -> None:
    async with admin.client() as client:
        answer = await sign_in(client, "wrong")
        assert answer.status_code == 401
        assert "This is not the token of this stack." in answer.text
        assert "set-cookie" not in answer.headers
        for _ in range(9):
            await sign_in(client, "wrong")
        assert (await sign_in(client)).status_code == 429
    assert {(e.action, e.who, e.result) for e in admin.audit.newest()} == {("login", "ada", "refused")}


@pytest.mark.parametrize(
    ("failures", "token", "status", "why"),
    [
        (0, "", 401, "no token was given"),
        (0, "guess-4711", 401, "this is not the token of this stack"),
        (FAILURES_PER_ADDRESS, TOKEN, 429, "too many wrong tokens: try again in"),
    ],
)
async def test_a_refused_login_says_why_on_the_page_and_in_the_audit(
    admin: Admin, failures: int, token: str, status: int, why: str
) -> None:
    """SE-7. It tells no token, neither the right one nor what was typed."""
    async with admin.client() as client:
        for _ in range(failures):
            await sign_in(client, "wrong")
        answer = await sign_in(client, token)
    assert answer.status_code == status
    assert why.capitalize() in answer.text
    entry = admin.audit.newest()[0]
    assert (entry.action, entry.result) == ("login", "refused")
    assert why in entry.detail
    for secret in (TOKEN, "guess-4711"):
        assert secret not in answer.text
        assert secret not in entry.model_dump_json()


async def test_the_session_cookie_cannot_be_read_or_sent_from_elsewhere(admin: Admin) -> None:
    async with admin.client() as client:
        answer = await sign_in(client)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert TOKEN not in cookie


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_there_before_anything_is_known(admin: Admin, page: str) -> None:
    async with admin.client() as client:
        await sign_in(client)
        whole = await client.get(page)
        part = await client.get(page, headers={"HX-Request": "true", "HX-Target": "live"})
    assert whole.status_code == 200, whole.text
    assert "<!doctype html>" in whole.text.lower()
    assert "<html" not in part.text
    assert part.text.strip() in whole.text


@pytest.mark.parametrize("page", PAGES)
async def test_every_page_is_there_with_everything_on_it(admin: Admin, facts: Facts, page: str) -> None:
    for fact in (
        facts.account(), facts.position("SPY", "5"), facts.position("BAC", "7", exit_owner="monitor"),
        facts.intent("open", pb.INTENT_STATE_ACKED), facts.intent("done", pb.INTENT_STATE_REJECTED), facts.fill("f"),
        facts.decision("s1"), facts.decision("s2", reason="COOLDOWN_ACTIVE"), facts.halt("kill_switch.1"),
        facts.verdict(pb.RECONCILIATION_STATE_DISCREPANT), facts.fact("lease", "paper"),
    ):  # fmt: skip
        admin.sources.projection.apply(fact)
    admin.sources.holder = pb.GetHolderResponse(holder="pod-a", epoch=3, entries_locked_reason="MERGING")
    held, under_way = facts.position("SPY", "5").position, facts.intent("open", pb.INTENT_STATE_ACKED).intent
    admin.tell_strategies(pb.Strategy(strategy="sma", state="failed", positions=[held], open_intents=[under_way]))
    async with admin.client() as client:
        await sign_in(client)
        answer = await client.get(page)
    assert answer.status_code == 200, answer.text
    assert "The kill switch is engaged" in answer.text


async def test_every_page_says_of_what_zone_its_times_and_of_what_currency_its_amounts_are(admin: Admin) -> None:
    async with admin.client() as client:
        await sign_in(client)
        text = (await client.get("/")).text
    assert "Market time, ET" in text
    assert "Times of the market are New York time (ET), amounts US dollars." in text


@pytest.mark.parametrize(("remote", "shown"), [("127.0.0.1", "127.0.0.1 · grpc"), ("", "grpc")])
async def test_the_audit_shows_from_where_somebody_acted_as_far_as_it_is_known(
    admin: Admin, remote: str, shown: str
) -> None:
    """SE-7: gRPC does not tell the address."""
    entry = {"who": "operator", "via": "grpc", "action": "examine", "what": "every service", "result": "ok"}
    admin.audit.record(AuditEntry(at=NOW, remote=remote, **entry))
    async with admin.client() as client:
        await sign_in(client)
        text = (await client.get("/audit")).text
    assert f">{shown}</td>" in text


async def test_nothing_comes_from_elsewhere_and_nothing_runs_inline(admin: Admin) -> None:
    async with admin.client() as client:
        await sign_in(client)
        for page in (*PAGES, "/login"):
            answer = await client.get(page)
            policy = answer.headers["content-security-policy"]
            assert "script-src 'self'" in policy
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-store"
            for source in re.findall(r'(?:src|href|action)="([^"]*)"', answer.text):
                assert source.startswith(("/", "#")), source
            assert not re.search(r"<script(?![^>]*src=)|\son\w+=|\sstyle=", answer.text)
        for asset in re.findall(r'(?:src|href)="(/static/[^"]*)"', (await client.get("/")).text):
            assert (await client.get(asset)).status_code == 200, asset


async def test_a_page_of_another_site_can_change_nothing(admin: Admin) -> None:
    """CSRF: the cookie alone engages and lifts nothing."""
    admin.make_ledger()
    async with admin.client() as client:
        await sign_in(client)
        for headers in (
            {},
            OWN | {"Origin": "http://evil.test"},
            OWN | {"Sec-Fetch-Site": "cross-site"},
            {name: value for name, value in OWN.items() if name != "X-Holdfast"},
        ):
            for path in ("/kill-switch", "/halts/clear", "/strategies/stop", "/strategies/start", "/broker-connection",
                         "/api/v1/kill-switch", "/api/v1/strategies/sma/stop"):  # fmt: skip
                form = {"note": "a foreign page", "halt_id": "h", "strategy": "sma"}
                sent = {"json": form} if path.startswith("/api/") else {"data": form}
                assert (await client.post(path, headers=headers, **sent)).status_code == 403
        assert (await sign_in(client, Origin="http://evil.test")).status_code == 403
        assert admin.rows() == []
        answer = await client.post("/kill-switch", headers=OWN, data={"reason": "drill"})
    assert answer.status_code == 200, answer.text
    assert [row["set_by"] for row in admin.rows()] == ["ada"]


async def test_no_page_says_that_entries_are_accepted_while_the_kill_switch_is_engaged(
    admin: Admin, facts: Facts
) -> None:
    """KS: execution alone would take them; a person has said no."""
    admin.sources.holder = pb.GetHolderResponse(holder="pod-a", epoch=3)
    async with admin.client() as client:
        await sign_in(client)
        assert "Accepted" in (await client.get("/health")).text
        admin.sources.projection.apply(facts.halt("kill_switch.1"))
        engaged = (await client.get("/health")).text
    assert "Accepted" not in engaged
    assert "by the kill switch" in engaged


@pytest.mark.parametrize(("state", "light", "headline"), [
    ("running", "GREEN", "Trading"), ("stopped", "YELLOW", "Trading with limits"),
])  # fmt: skip
async def test_outside_the_session_the_strip_says_that_the_market_is_closed_and_when_it_opens(
    admin: Admin, facts: Facts, state: str, light: str, headline: str
) -> None:
    """Nothing trades then, with limits or without."""
    admin.sources.holder = pb.GetHolderResponse(holder="pod-a", epoch=3)
    admin.sources.projection.apply(facts.verdict())
    admin.tell_strategies(pb.Strategy(strategy="sma", state=state))
    async with admin.client() as client:
        await sign_in(client)
        in_session = (await client.get("/orders")).text
        admin.clock.secs += 12 * 3_600
        await sign_in(client)
        at_night = (await client.get("/orders")).text
    assert f"<b>{light}</b><span>{headline}</span>" in in_session
    assert f"<b>{light}</b><span>Market closed</span>" in at_night
    assert re.search(r"<dt>Opens</dt><dd[^>]*>Wed 9 Oct 09:30<", at_night)


async def test_lifting_asks_for_the_word_and_a_reason(admin: Admin, facts: Facts) -> None:
    admin.sources.projection.apply(facts.halt("kill_switch.1"))
    async with admin.client() as client:
        await sign_in(client)
        refused = await client.post("/kill-switch/lift", headers=OWN, data={"note": "all is well", "word": "yes"})
        assert refused.status_code == 422
        assert admin.execution.cleared == []
        lifted = await client.post("/kill-switch/lift", headers=OWN, data={"note": "all is well", "word": "lift"})
    assert lifted.status_code == 200
    assert [request.cleared_by for request in admin.execution.cleared] == ["ada"]


async def test_a_halt_is_cleared_on_the_page_with_a_reason(admin: Admin, facts: Facts) -> None:
    admin.sources.projection.apply(facts.halt("credentials.1", kind="credentials"))
    async with admin.client() as client:
        await sign_in(client)
        for page in ("/health", "/kill-switch"):
            assert 'data-to="credentials.1"' in (await client.get(page)).text
        refused = await client.post("/halts/clear", headers=OWN, data={"halt_id": "credentials.1", "note": " "})
        assert refused.status_code == 422
        assert admin.execution.cleared == []
        cleared = await client.post("/halts/clear", headers=OWN, data={"halt_id": "credentials.1", "note": "new keys"})
        assert cleared.status_code == 200
        assert 'data-to="credentials.1"' not in (await client.get("/health")).text
    assert [request.cleared_by for request in admin.execution.cleared] == ["ada"]


async def test_a_session_ends_when_it_is_idle_or_signed_out(admin: Admin) -> None:
    async with admin.client() as client:
        await sign_in(client)
        admin.clock.secs += IDLE_SECS - 1
        assert (await client.get("/")).status_code == 200
        admin.clock.secs += IDLE_SECS + 1
        assert (await client.get("/")).status_code == 303
        await sign_in(client)
        assert (await client.post("/logout")).status_code == 303
        assert (await client.get("/")).status_code == 303


async def test_sessions_are_bounded_the_longest_unused_goes_first(admin: Admin) -> None:
    first, second = admin.access.open_session("ada"), admin.access.open_session("bob")
    assert admin.access.session(first) is not None
    for number in range(MAX_SESSIONS - 1):
        admin.access.open_session(f"p{number}")
    assert admin.access.session(second) is None
    assert admin.access.session(first) is not None


async def test_what_came_from_outside_is_shown_as_text(admin: Admin, facts: Facts) -> None:
    admin.sources.projection.apply(facts.decision("s1", reason="COOLDOWN_ACTIVE", strategy="<script>alert(1)</script>"))
    async with admin.client() as client:
        await sign_in(client)
        page = (await client.get("/decisions")).text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert" in page


async def test_an_unknown_page_says_so(admin: Admin) -> None:
    async with admin.client() as client:
        assert (await client.get("/nowhere")).status_code == 404
        told = (await client.get("/api/v1/nowhere")).json()
        assert told == {"code": "HTTP_404", "message": "Not Found"}
        assert (await client.get("/static/../pyproject.toml")).status_code == 404


@pytest.mark.parametrize(
    ("method", "path", "status", "title"),
    [
        ("GET", "/nowhere", 404, "Page not found"),
        ("GET", "/logout", 405, "That is not done here"),
        ("POST", "/kill-switch", 403, "Not allowed"),
        ("GET", "/health", 500, "Something went wrong"),
    ],
)
async def test_a_page_that_cannot_be_shown_says_so_to_a_person_and_leads_back(
    admin: Admin, monkeypatch: pytest.MonkeyPatch, method: str, path: str, status: int, title: str
) -> None:
    def fail(*_: object) -> None:
        raise ArithmeticError("a secret of the inside")

    monkeypatch.setattr(board, "health", fail)
    async with admin.client(raise_app_exceptions=False) as client:
        await sign_in(client)
        answer = await client.request(method, path)
    assert answer.status_code == status
    assert f"<h1>{title}</h1>" in answer.text
    assert '<a href="/">' in answer.text
    for raw in ("Http", "Not Found", "Method Not", "a secret of the inside"):
        assert raw not in answer.text


async def test_a_filter_by_a_strategy_that_is_not_known_is_shown_and_says_so(admin: Admin, facts: Facts) -> None:
    admin.sources.projection.apply(facts.decision("s1"))
    async with admin.client() as client:
        await sign_in(client)
        page = (await client.get("/decisions?strategy=nobody")).text
    assert "No decision of nobody is known" in page
    assert re.search(r'aria-current="true">nobody</a>', page)


async def test_the_page_of_the_api_shows_code_as_code_and_a_text_for_every_schema(admin: Admin) -> None:
    async with admin.client() as client:
        await sign_in(client)
        page = (await client.get("/docs")).text
    assert "`" not in page
    silent = re.findall(r'<summary><code>([^<]*)</code><span class="what"></span>', page)
    assert silent == ["HTTPValidationError", "ValidationError"], "only those of FastAPI itself have no text"
