"""When a pod held its place and what it did there, between two looks."""

from collections.abc import Iterable
from dataclasses import dataclass

from modelfleet.plan.ledger.units import Millis
from modelfleet.plan.ledger.values import Seat, Tenant, Use

SECOND: Millis = 1_000
HALF: Millis = 500


@dataclass(frozen=True, slots=True)
class Stay:
    """One tenant doing one thing, from `start` until before `end`."""

    uid: str
    seat: Seat
    start: Millis
    end: Millis
    busy: int | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From the last look until this one; what lies before `watched` was seen by nobody."""

    start: Millis
    end: Millis
    watched: Millis

    def clamp(self, at: Millis) -> Millis:
        """Return `at`, or the nearest end of the window."""
        return max(self.start, min(self.end, at))

    def instant(self, stated: Millis) -> Millis:
        """Return when something happened that the API server dates by a whole second.

        A look that comes with it comes soon after it, so it happened now, or at the end of that
        second if now is later. What happened while nobody looked did so at some time of the
        second, and the middle is wrong by the least.
        """
        latest = stated + SECOND - 1 if self.start >= self.watched else stated + HALF
        return self.clamp(min(self.end, latest))


def use_of(tenant: Tenant) -> Use:
    """Return what a tenant does now. Only of a Model's replicas is that looked at."""
    if tenant.leaves_by is not None:
        return Use.LEAVING
    if tenant.account.kind != "model":
        return Use.UNMEASURED
    if tenant.ready_at is not None and tenant.unready_at is None:
        return Use.SERVING
    if tenant.failing or tenant.unready_at is not None:
        return Use.FAILED
    return Use.PULLING if tenant.started_at is None else Use.LOADING


def seat_for(tenant: Tenant) -> Seat:
    """Return what to remember of a tenant."""
    return Seat(
        account=tenant.account,
        asks=tenant.asks,
        claims=tenant.claims,
        canary=tenant.canary,
        use=use_of(tenant),
        leaves_by=tenant.leaves_by,
    )


def stays_of(tenant: Tenant, known: Seat | None, window: Window) -> tuple[Stay, ...]:
    """Return what a tenant that is there now did in the window.

    What was known is so until the instant of the change. Who pays, and for how much, changes when
    it is seen: no timestamp tells when a label was set.
    """
    seat = known or seat_for(tenant)
    begin = window.start if known else window.instant(tenant.bound_at)
    first = known.use if known else _first_use(tenant)
    steps = [(begin, first), *_changes(first, tenant, window)]
    ends = [at for at, _ in steps[1:]] + [window.end]
    return tuple(
        Stay(tenant.uid, _doing(seat, use), start, end, tenant.busy)
        for (start, use), end in zip(steps, ends, strict=True)
        if start < end
    )


def _doing(seat: Seat, use: Use) -> Seat:
    if seat.use is use:
        return seat
    return Seat(
        account=seat.account, asks=seat.asks, claims=seat.claims, canary=seat.canary, use=use
    )


def _first_use(tenant: Tenant) -> Use:
    """One that fails when it is first seen came while nobody looked."""
    if tenant.failing:
        return Use.FAILED
    return Use.PULLING if tenant.account.kind == "model" else Use.UNMEASURED


def _changes(first: Use, tenant: Tenant, window: Window) -> Iterable[tuple[Millis, Use]]:
    """Yield what came after `first`, in order of time, up to what is so now."""
    last, at = use_of(tenant), window.start
    if last is first:
        return
    for use, stated in _milestones(first, tenant):
        if stated is not None and use is not last:
            at = max(at, window.instant(stated))
            yield at, use
    stated = _stated(last, tenant)
    yield max(at, window.end if stated is None else window.instant(stated)), last


def _milestones(first: Use, tenant: Tenant) -> Iterable[tuple[Use, Millis | None]]:
    """Yield what a start goes through. A container that was restarted hides its first start."""
    if tenant.account.kind != "model" or tenant.failing:
        return
    if first is Use.PULLING:
        yield Use.LOADING, tenant.started_at
    if first in (Use.PULLING, Use.LOADING):
        yield Use.SERVING, tenant.ready_at


def _stated(use: Use, tenant: Tenant) -> Millis | None:
    instants = {
        Use.LOADING: tenant.started_at,
        Use.SERVING: tenant.ready_at,
        Use.FAILED: tenant.unready_at,
    }
    return instants.get(use)


def last_stay(uid: str, known: Seat, window: Window, crowded_at: Millis | None) -> Stay:
    """Return the last stay of a tenant that is gone.

    Seen to go, it went now. Else nobody knows when: after the last look, and before its grace
    period was over, its place was taken, or somebody looked again. The middle is wrong by the
    least.
    """
    if window.start >= window.watched:
        return Stay(uid, known, window.start, window.end)
    bounds = (known.leaves_by, crowded_at, window.watched)
    latest = window.clamp(min(one for one in bounds if one is not None))
    return Stay(uid, known, window.start, (window.start + latest) // 2)
