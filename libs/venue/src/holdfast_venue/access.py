"""Credentials, and the latch that a refusal closes: after a 401 nothing is sent until they change (invariant 5), or a
person says that they are good (SQ-14)."""

from collections.abc import Callable
from dataclasses import dataclass, field

from holdfast_runtime.ports.venue import Unauthorised


@dataclass(frozen=True, slots=True)
class Credentials:
    """Key and secret of one account; neither is ever printed (invariant 17)."""

    key: str = field(repr=False)
    secret: str = field(repr=False)


class Access:
    """The credentials as they are now, and those that the venue refused."""

    def __init__(self, credentials: Callable[[], Credentials], refresh: Callable[[], object] = lambda: None) -> None:
        self._credentials = credentials
        self._refresh = refresh
        self._refused: Credentials | None = None

    def credentials(self) -> Credentials:
        """What to authenticate with. Raises Unauthorised, without asking the venue, where these were refused before."""
        present = self._credentials()
        if present == self._refused:
            raise unauthorised("refused before, and unchanged since")
        self._refused = None
        return present

    def refused(self) -> bool:
        """True while the present credentials, read anew, are known to be refused."""
        self._refresh()
        return self._refused is not None and self._credentials() == self._refused

    def vouch(self) -> None:
        """A person says that they are good."""
        self._refused = None

    def refuse(self, credentials: Credentials) -> None:
        """The venue answered 401 to these."""
        self._refused = credentials


def unauthorised(detail: str) -> Unauthorised:
    """The one sentence about credentials, with what to do."""
    return Unauthorised(
        f"the venue refuses the credentials: {detail}",
        steps=(
            "Check ALPACA_API_KEY and ALPACA_SECRET_KEY: do they belong to this account, paper or live?",
            "Put the right ones in place; the next request uses them.",
        ),
    )
