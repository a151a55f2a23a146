"""When a tick is settled: every service of the roster has reported it, and what was sent has been received. Pure.

A service may follow with several processes: all that take part must have reported, and its position in a flow is the
farthest of theirs. A standby hears the clock and takes no part: it does not give its name.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from holdfast.papermarket.v1 import market_clock_pb2 as pb
from holdfast_runtime.flows import FLOWS, VENUE, Flow
from holdfast_runtime.wire import from_timestamp


@dataclass(slots=True, eq=False)
class Report:
    """The newest report of one connection that follows the clock; None until it has reported the present tick.

    Two are never the same one, whatever they say: a connection that leaves takes its own with it."""

    service: str = ""
    done: pb.Done | None = None


class Barrier:
    """The reports about the present tick."""

    def __init__(self, roster: Iterable[str], flows: tuple[Flow, ...] = FLOWS) -> None:
        self.roster = tuple(roster)
        self._flows = flows
        self._reports: list[Report] = []
        self.number = 0

    def begin(self, number: int) -> None:
        """Tick `number` goes out: what was reported before counts no more."""
        self.number = number
        for report in self._reports:
            report.done = None

    def join(self) -> Report:
        """A new connection, not known by name yet."""
        report = Report()
        self._reports.append(report)
        return report

    def leave(self, report: Report) -> None:
        """A connection is gone, and what it has reported with it."""
        self._reports.remove(report)

    def take(self, report: Report, done: pb.Done) -> None:
        """A report of any tick: the first names the service, only the present tick's counts."""
        report.service = done.service
        if done.number == self.number:
            report.done = done

    def missing(self) -> Iterator[str]:
        """Services of the roster that have not reported this tick, with why."""
        for service in self.roster:
            reports = [report for report in self._reports if report.service == service]
            if not reports:
                yield f"{service}: not connected"
            elif any(report.done is None for report in reports):
                yield f"{service}: tick {self.number} not settled"

    def waiting_for(self, venue_sent: Mapping[str, int | None]) -> Iterator[str]:
        """What holds the next tick; nothing where it may go out. Looked for one by one: mostly the first is enough.

        `venue_sent`: None where nobody is connected. A flow that is left out is not waited for.
        """
        settled = True
        for reason in self.missing():
            settled = False
            yield reason
        for flow in self._flows if settled else ():
            yield from self._unbalanced(flow, venue_sent)

    def next_timer(self) -> datetime | None:
        """The earliest timer of all reports."""
        timers = [
            from_timestamp(report.done.next_timer)
            for report in self._reports
            if report.done is not None and report.done.HasField("next_timer") and report.service in self.roster
        ]
        return min(timers, default=None)

    def _unbalanced(self, flow: Flow, venue_sent: Mapping[str, int | None]) -> Iterator[str]:
        for receiver in flow.receivers:
            if receiver not in self.roster:
                continue
            received = self._position(receiver, flow.name, received=True)
            for sender in flow.senders:
                if sender == VENUE and flow.name not in venue_sent:
                    continue
                if sender == VENUE:
                    sent = venue_sent.get(flow.name)
                elif sender in self.roster:
                    sent = self._position(sender, flow.name, received=False)
                else:
                    continue
                if sent is None:
                    yield f"{flow.name}: {receiver} is not connected to the venue"
                elif received < sent or (flow.exact and received != sent):
                    yield f"{flow.name}: {sender} sent {sent}, {receiver} received {received}"

    def _position(self, service: str, flow: str, *, received: bool) -> int:
        dones = [report.done for report in self._reports if report.service == service and report.done is not None]
        return max(((done.received if received else done.sent).get(flow, 0) for done in dones), default=0)
