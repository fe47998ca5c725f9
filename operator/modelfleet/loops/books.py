"""The books of all nodes in memory, brought up to date event by event. Nothing is decided here:
`plan.ledger` charges, this remembers.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import date, datetime, timedelta

from modelfleet.api.v1alpha1.cost import ModelCost, PoolCost
from modelfleet.api.v1alpha1.gpunodepool import GPUNodePool
from modelfleet.api.v1alpha1.model import Model
from modelfleet.cluster.caches import Caches, key_of
from modelfleet.loops.accounts import Accounts, Name, is_booked
from modelfleet.plan.ledger.archive import without
from modelfleet.plan.ledger.charges import rates_of
from modelfleet.plan.ledger.checkpoint import Open
from modelfleet.plan.ledger.fold import look
from modelfleet.plan.ledger.scenes import Busy, Payer, Payers, payer_of, pool_of, scene_for
from modelfleet.plan.ledger.sums import Amount, Line, Lines, lines_of
from modelfleet.plan.ledger.units import Millis, day_of, millis
from modelfleet.plan.ledger.values import UNALLOCATED, Book, Charge, Scene, State
from modelfleet.plan.world import Key, Namespace, Node, Pod, Unreadable

Told = Callable[[Iterable[Charge]], None]


class Books:
    """Fed by the caches' stores. It charges nothing before it is opened."""

    def __init__(
        self, caches: Caches, now: Callable[[], datetime], told: Told = lambda _: None
    ) -> None:
        """`told` hears of every charge, once."""
        self._caches, self._now, self._told = caches, now, told
        self._pods: dict[str, dict[str, Pod]] = {}
        self._payers: dict[Name, Payer] = {}
        self._teams: dict[str, str] = {}
        self._books: dict[str, Book] = {}
        self._state: State | None = None
        self._watched: Millis = 0
        self._archived = ""
        self._lines: dict[Line, Amount] = {}
        self.accounts = Accounts("")
        self.busy: Busy = {}
        """How busy pods were lately, as far as that is known."""
        caches.pods.subscribe(self._pod_changed)
        caches.nodes.subscribe(self._node_changed)
        caches.pools.subscribe(self._pool_changed)
        caches.models.subscribe(self._model_changed)
        caches.namespaces.subscribe(self._namespace_changed)

    @property
    def is_open(self) -> bool:
        """Whether it charges."""
        return self._state is not None

    # --- opening and closing ------------------------------------------------------

    def open(self, kept: Open | None, archive: Lines) -> None:
        """Go on where a checkpoint ended, or begin. `archive` has the days that are over."""
        now = millis(self._now())
        state = kept.state if kept else State(opened_at=now, at=now)
        self._watched, self._books = now, dict(state.books)
        self._state = replace(state, books=self._books)
        self._archived = kept.archived if kept else ""
        self._lines, self.accounts = {}, Accounts(day_of(now)[:7])
        for line, amount in archive.items():
            self.accounts.add(line, amount)
        if kept and kept.month == self.accounts.month:
            self.accounts.measured = dict(kept.measured)
        self._add(kept.lines if kept else {})
        self.close_all()

    def shut(self) -> None:
        """Charge nothing any more: another writes the books."""
        self._state = None

    def close_all(self) -> None:
        """Close every book up to now."""
        for node in self.nodes():
            self.close(node)

    def nodes(self) -> list[str]:
        """Return the nodes that have a book or should have one, the longest not closed first."""
        names = {*self._books, *(one.name for one in self._caches.nodes)}
        return sorted(names, key=lambda name: (self._closed_at(name), name))

    def _closed_at(self, node: str) -> Millis:
        book = self._books.get(node)
        return book.at if book else 0

    def close(self, node: str) -> None:
        """Close a node's book up to now."""
        if self._state is None:
            return
        now = millis(self._now())
        book, charges = look(self._state, node, self._scene(node), self._watched, now)
        self._note(node, book)
        booked = [one for one in charges if is_booked(one.account, one.pool)]
        if booked:
            self._told(booked)
            self._add(lines_of(booked))

    def _note(self, node: str, book: Book | None) -> None:
        old = self._books.pop(node, None)
        if book is None:
            self.accounts.rate(node, None)
            return
        self._books[node] = book
        if (
            old is None
            or not self.accounts.has_rate(node)
            or (old.terms, old.seats) != (book.terms, book.seats)
        ):
            self.accounts.rate(node, rates_of(book.terms, book.seats))

    def _add(self, lines: Lines) -> None:
        for line, amount in lines.items():
            timely = self._timely(line)
            self._lines[timely] = self._lines.get(timely, Amount()) + amount
            self.accounts.add(timely, amount)

    def _timely(self, line: Line) -> Line:
        """Book what comes too late for its day on the first day that is open."""
        if line.day > self._archived:
            return line
        after = date.fromisoformat(self._archived) + timedelta(days=1)
        return replace(line, day=after.isoformat())

    def kept(self) -> Open | None:
        """Return what a checkpoint must have; None while it is not open."""
        if self._state is None:
            return None
        at = max([self._state.at, *(book.at for book in self._books.values())])
        self._state = replace(self._state, at=at)
        state = replace(self._state, books=dict(self._books))
        measured = dict(self.accounts.measured)
        return Open(state, dict(self._lines), self._archived, measured, self.accounts.month)

    def archived(self, day: str) -> None:
        """Forget the lines up to a day that is kept elsewhere from now on."""
        self._archived = max(self._archived, day)
        self._lines = without(self._lines, self._archived)

    # --- figures ------------------------------------------------------------------

    def model_cost(self, key: Key, old: ModelCost | None, now: datetime) -> ModelCost | None:
        """Return what to tell of a Model; None: nothing is known yet."""
        if self._state is None:
            return None
        name = (key.namespace, key.name)
        payer = self._payers.get(name)
        return self.accounts.model_cost(name, payer.team if payer else UNALLOCATED, old, now)

    def pool_cost(self, pool: str, old: PoolCost | None, now: datetime) -> PoolCost | None:
        """Return what to tell of a pool; None: nothing is known yet."""
        return self.accounts.pool_cost(pool, old, now) if self._state else None

    # --- what changes ---------------------------------------------------------------

    def _scene(self, node: str) -> Scene | None:
        found = self._caches.nodes.get("", node)
        if found is None:
            return None
        pool = pool_of(found, self._caches.pools)
        payers = Payers(self._payers, self._teams)
        return scene_for(found, pool, self._pods.get(node, {}).values(), payers, self.busy)

    def _pod_changed(self, old: Pod | None, new: Pod | None) -> None:
        touched = {one.node for one in (old, new) if one and one.node}
        if old and old.node:
            self._pods.get(old.node, {}).pop(old.uid, None)
        if new and new.node:
            self._pods.setdefault(new.node, {})[new.uid] = new
        for node in touched:
            self.close(node)

    def _node_changed(self, old: Node | None, new: Node | None) -> None:
        if (one := new or old) is not None:
            self.close(one.name)

    def _pool_changed(self, old: GPUNodePool | None, new: GPUNodePool | None) -> None:
        if old and new and old.spec == new.spec:
            return
        self.close_all()

    def _model_changed(
        self, old: Model | Unreadable | None, new: Model | Unreadable | None
    ) -> None:
        one = new or old
        if one is None or isinstance(new, Unreadable):
            return
        key = key_of(one)
        payer = payer_of(new, self._teams.get(key.namespace, "")) if new else None
        self._pays((key.namespace, key.name), payer)

    def _pays(self, name: Name, payer: Payer | None) -> None:
        if self._payers.get(name) == payer:
            return
        if payer is None:
            del self._payers[name]
        else:
            self._payers[name] = payer
        for node in {pod.node for pod in self._caches.pods.by("model", name) if pod.node}:
            self.close(node)

    def _namespace_changed(self, old: Namespace | None, new: Namespace | None) -> None:
        one = new or old
        if one is None:
            return
        self._teams[one.name] = new.team if new else ""
        for model in self._caches.models:
            if isinstance(model, Model) and model.metadata.namespace == one.name:
                self._pays((one.name, model.metadata.name), payer_of(model, self._teams[one.name]))
        self._close_workloads(one.name)

    def _close_workloads(self, namespace: str) -> None:
        for node, pods in self._pods.items():
            if any(pod.namespace == namespace and not pod.model for pod in pods.values()):
                self.close(node)
