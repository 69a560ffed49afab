"""When a server is left alone, and when it is tried again: the state machine of the circuit breaker.

                 too many failures              open time over                 enough proofs
    closed ────────────────────────► open ─────────────────────► half_open ────────────────────► closed
                                      ▲                              │
                                      └──────── a probe failed ──────┘

The breaker layer asks `acquire` before each attempt and tells `release` how it ended; the health monitor adds what
its own probes found. Time is an argument, in seconds of a monotonic clock: a step of the wall clock changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING, TypeAlias

from trunkline.events import CircuitState
from trunkline.resilience.evidence import Evidence
from trunkline.resilience.permit import Permit, Verdict
from trunkline.resilience.recovery import FIRST_SHARE, OpenTime, share_of_load

if TYPE_CHECKING:
    import random

    from trunkline.policy import BreakerPolicy

__all__ = ["Circuit", "OnChange", "Permit", "Verdict"]

OnChange: TypeAlias = Callable[[CircuitState, CircuitState, str, float], None]
"""`(old, new, reason in words, now in seconds)`, told exactly once per transition, after it."""


class Circuit:
    """Judges one replica of one server and says who may try it.

    Closed, everybody may, and outcomes are weighed as `Evidence` says. Open, nobody may. Half open, one probe at a
    time may, on a lease of min(`lease`, the open time) seconds: a probe that hangs loses its turn and cannot wedge
    the circuit; what it reports later still counts until the state changes. `policy.successes` proofs close the
    circuit, one failed probe opens it for longer. Every transition forgets what was weighed before it.

    What other processes found is told by `hear_opened` and `hear_closed`; `was_heard` marks what came of it, so that
    nobody passes it on and no opening goes round for ever.

    `slow` is the number of seconds from which an attempt is slow. (Outcomes are bound to the state that admitted them
    by a generation, as in gobreaker; the lease has the effect of Polly's one probe per break duration.)
    """

    def __init__(self, policy: BreakerPolicy, *, slow: float, rng: random.Random, on_change: OnChange) -> None:
        self._policy = policy
        self._on_change = on_change
        self._state: CircuitState = "closed"
        self._generation = 0
        # One object serves every attempt of a closed circuit: the common case allocates nothing.
        self._ordinary = Permit(0)
        self._evidence = Evidence(policy, slow)
        self._open_time = OpenTime(policy, rng)
        self._open_for = 0.0
        self._open_until = 0.0
        self._opened = 0
        self._proofs = 0
        self._tickets = 0
        self._probe: int | None = None
        self._lease_end = 0.0
        self._closed_at: float | None = None
        self._on_hearsay = False
        self.was_heard = False
        """Whether the latest transition was made on another process's word, not for what was seen here."""

    def __repr__(self) -> str:
        held = ", held" if self._is_held else ""
        return (
            f"<Circuit [{self._state}{held}, {self._evidence.summary}, "
            f"{self._proofs} of {self._policy.successes} proofs, opened {self._opened} times]>"
        )

    @property
    def state(self) -> CircuitState:
        """The state since the last transition; an open circuit turns half open when it is next asked."""
        return self._state

    def state_at(self, now: float) -> CircuitState:
        """Return the state that `acquire` would find at `now`, and change nothing."""
        is_due = self._state == "open" and now >= self._open_until
        return "half_open" if is_due else self._state

    def acquire(self, now: float, *, may_probe: bool = True, lease: float = 10.0) -> Permit | None:
        """Ask to make one attempt; None means that it must not be made.

        `may_probe=False` is for a call that must not run twice: it is never the one that finds out whether the server
        is back. `lease` is the seconds a probe may take before the next one is let in, at most the open time.
        """
        if self._state == "closed":
            return self._ordinary
        self._end_open_time(now)
        if self._state == "open" or not may_probe or self._is_leased(now):
            return None
        self._tickets += 1
        self._probe = self._tickets
        # Never shorter than any open time of our own: what was left of another's may be next to nothing.
        self._lease_end = now + min(lease, max(self._open_for, self._policy.open_for / 2))
        return Permit(self._generation, is_probe=True, ticket=self._tickets)

    def release(
        self,
        permit: Permit,
        verdict: Verdict,
        now: float,
        *,
        duration: float | None = None,
        soft: bool = False,
        incident: object | None = None,
    ) -> None:
        """Say how an attempt ended.

        `duration` is in seconds; None counts as fast. A `soft` failure (overload, 429) counts towards the failure ratio
        and fails a probe, but is neither part nor end of a run of failures. Failures with the same `incident`
        (compared by identity: one lost connection) count once.
        """
        if permit.generation != self._generation:
            return
        if permit.ticket == self._probe:
            self._probe = None
        if verdict is Verdict.NOTHING:
            return
        failed = verdict is Verdict.FAILURE
        if permit.is_probe:
            if failed:
                self._reopen("the probe failed", now)
            else:
                self._prove(now)
            return
        if failed:
            reason = self._evidence.failure(now, duration, soft=soft, incident=incident)
        else:
            reason = self._evidence.success(now, duration)
        if reason is not None:
            closed_for = 0.0 if self._closed_at is None else now - self._closed_at
            self._open(reason, now, self._open_time.draw(closed_for))

    def retry_after(self, now: float, *, may_probe: bool = True) -> float:
        """Seconds after which asking again is worth it: 0.0 when an attempt may be made now, never negative.

        Where nobody knows, it is an estimate: the first open time for a call that may not probe a half-open circuit,
        the longest for a circuit that is held open.
        """
        state = self.state_at(now)
        if state == "open":
            return min(self._open_until - now, self._policy.open_cap)
        if state == "closed":
            return 0.0
        if self._is_leased(now):
            return self._lease_end - now
        return 0.0 if may_probe else self._policy.open_for

    def allowance(self, now: float) -> float:
        """Share of its usual concurrency the server should be given, in (0, 1]: 1 unless it has just recovered.

        Rises linearly over ten seconds after the circuit has closed; see `share_of_load`.
        """
        if self._state != "closed":
            return FIRST_SHARE
        return 1.0 if self._closed_at is None else share_of_load(now - self._closed_at)

    def probe_succeeded(self, now: float) -> None:
        """Count a probe made outside the call path (health check, reconnect) that succeeded.

        It is a proof like a leased probe's, even before the open time is over; it says nothing to a closed circuit.
        """
        self._end_open_time(now)
        if self._state != "closed" and not self._is_held:
            self._prove(now)

    def probe_failed(self, now: float) -> None:
        """Count such a probe that failed: it opens a half-open circuit again and undoes an open one's proofs."""
        self._end_open_time(now)
        self._proofs = 0
        if self._state == "half_open":
            self._reopen("a synthetic probe failed", now)

    def hear_opened(self, seconds: float, now: float) -> None:
        """Take another's word that the server fails, if closed: stay away so long, at most the first open time."""
        if self._state == "closed" and seconds > 0:
            self._open("another process found it failing", now, min(seconds, self._policy.open_for), heard=True)

    def hear_closed(self, now: float) -> None:
        """Take another process's word that the server is well: close what was opened on such word, else half open."""
        if self._state == "closed" or self._is_held:
            return
        if self._on_hearsay:
            self._close("another process found it well", now, heard=True)
        elif self._state == "open":
            self._change("half_open", "another process found it well", now, heard=True)

    def force_open(self, now: float) -> None:
        """Let nobody through until `force_closed`, whatever probes find."""
        self._open_until = inf
        if self._state != "open":
            self._change("open", "forced open", now)

    def force_closed(self, now: float) -> None:
        """Close now and forget all past trouble; what happens from here on is judged as ever."""
        self._open_time.reset()
        if self._state == "closed":
            self._evidence.clear()
        else:
            self._close("forced closed", now)

    def _reopen(self, reason: str, now: float) -> None:
        self._open(reason, now, self._open_time.draw_longer())

    def _open(self, reason: str, now: float, seconds: float, *, heard: bool = False) -> None:
        self._open_for = seconds
        self._open_until = now + seconds
        self._on_hearsay = heard
        self._change("open", reason, now, heard=heard)

    def _end_open_time(self, now: float) -> None:
        if self._state != self.state_at(now):
            self._change("half_open", f"{self._open_for:.1f} s of open time are over", now)

    def _prove(self, now: float) -> None:
        self._proofs += 1
        if self._proofs >= self._policy.successes:
            self._close(f"{self._proofs} probe{'' if self._proofs == 1 else 's'} succeeded", now)

    def _close(self, reason: str, now: float, *, heard: bool = False) -> None:
        self._closed_at = now
        self._change("closed", reason, now, heard=heard)

    def _change(self, new: CircuitState, reason: str, now: float, *, heard: bool = False) -> None:
        old, self._state = self._state, new
        self.was_heard = heard
        self._generation += 1
        self._ordinary = Permit(self._generation)
        self._probe = None
        # Half open, what synthetic probes found while open still holds: it is about the same outage.
        if new != "half_open":
            self._proofs = 0
        self._evidence.clear()
        self._opened += new == "open"
        # Last, so that whoever is told finds the new state whole.
        self._on_change(old, new, reason, now)

    def _is_leased(self, now: float) -> bool:
        return self._probe is not None and now < self._lease_end

    @property
    def _is_held(self) -> bool:
        return self._state == "open" and self._open_until == inf
