"""The fold: `(state, world, now) → (state', charges)`. It is all that writes the books.

Each node has a book that is closed up to an instant. A look closes it up to now: what was so until
then is charged, and what is so from now on is noted. A look may come whenever something about a
node has changed; how often it comes makes no difference to any sum.
"""

from collections.abc import Iterable
from dataclasses import replace

from modelfleet.plan.ledger.charges import charges_for
from modelfleet.plan.ledger.stays import Stay, Window, last_stay, seat_for, stays_of
from modelfleet.plan.ledger.units import Millis
from modelfleet.plan.ledger.values import Book, Charge, Scene, State, Tenant, World

Charges = tuple[Charge, ...]


def fold(state: State | None, world: World, now: Millis) -> tuple[State, Charges]:
    """Close all books up to now. A clock that was set back closes nothing until it catches up."""
    before = state or State(opened_at=now, at=now)
    books: dict[str, Book] = {}
    charges: list[Charge] = []
    for node in sorted({*before.books, *world.scenes}):
        book, new = look(before, node, world.scenes.get(node), world.watched_since, now)
        charges += new
        if book is not None:
            books[node] = book
    return replace(before, at=max(before.at, now), books=books), tuple(charges)


def look(
    state: State, node: str, scene: Scene | None, watched: Millis, now: Millis
) -> tuple[Book | None, Charges]:
    """Close one node's book up to now. A node that is gone has none any more."""
    book = state.books.get(node)
    if book is not None and (scene is None or scene.uid != book.uid):
        charges = _closed(node, book, watched, now)
        if scene is None:
            return None, charges
        opened, more = _settled(_opened(scene, state.opened_at), scene, watched, now)
        return opened, charges + more
    if scene is None:
        return None, ()
    return _settled(book or _opened(scene, state.opened_at), scene, watched, now)


def _opened(scene: Scene, opened_at: Millis) -> Book:
    """A node costs from its creation, or from when the ledger began."""
    return Book(at=max(scene.born_at, opened_at), uid=scene.uid, terms=scene.terms)


def _settled(book: Book, scene: Scene, watched: Millis, now: Millis) -> tuple[Book, Charges]:
    window = Window(book.at, max(book.at, now), watched)
    stays = list(_stays(book, scene.tenants, window))
    charges = charges_for(scene.node, book.terms, stays, window)
    seats = {tenant.uid: seat_for(tenant) for tenant in scene.tenants}
    return Book(at=window.end, uid=book.uid, terms=scene.terms, seats=seats), charges


def _closed(node: str, book: Book, watched: Millis, now: Millis) -> Charges:
    """Charge a node that is gone: until now if it was seen to go, else until the middle."""
    end = max(book.at, now)
    if book.at < watched:
        end = (book.at + max(book.at, min(watched, end))) // 2
    window = Window(book.at, end, watched)
    stays = [Stay(uid, seat, window.start, window.end) for uid, seat in book.seats.items()]
    return charges_for(node, book.terms, stays, window)


def _stays(book: Book, tenants: tuple[Tenant, ...], window: Window) -> Iterable[Stay]:
    here = {tenant.uid for tenant in tenants}
    crowded_at = _crowded_at(book, tenants, window)
    for tenant in tenants:
        yield from stays_of(tenant, book.seats.get(tenant.uid), window)
    for uid, seat in book.seats.items():
        if uid not in here:
            yield last_stay(uid, seat, window, crowded_at)


def _crowded_at(book: Book, tenants: tuple[Tenant, ...], window: Window) -> Millis | None:
    """Return when the first newcomer took a GPU that can only have been one of those gone."""
    held = sum(seat.asks.gpu for seat in book.seats.values())
    newcomers = [one for one in tenants if one.uid not in book.seats and one.asks.gpu]
    for tenant in sorted(newcomers, key=lambda one: (one.bound_at, one.uid)):
        held += tenant.asks.gpu
        if held > book.terms.capacity.gpu:
            return window.instant(tenant.bound_at)
    return None
