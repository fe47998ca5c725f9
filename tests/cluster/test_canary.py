"""Canaries under load, on pools that their Models fill, judged by what the engines tell.

All of them run at the same time, since a verdict takes a minute. How soon a bad one was found out
and how many requests had reached it is printed (`pytest -rP`), not asserted.
"""

import asyncio
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from support.manifests import SIMULATED, model
from support.running import (
    PATIENCE,
    Client,
    Operator,
    apply,
    condition,
    is_ready,
    kubectl,
    stalled_for,
)

REVISION, MODEL = "modelfleet.dev/revision", "modelfleet.dev/model"
CLIENTS = 4
"""Of each Model that is asked at all."""

PAUSE = 0.2
"""Seconds between two requests of one client."""

LONGEST = 300.0
"""Seconds until a test stops to hope for a verdict. Not an assertion about speed."""

ANALYSIS = {"intervalSeconds": 5, "warmUpSeconds": 2, "minimumRequests": 30}
ENGINE = {"prefillSeconds": 0.02, "decodeTokensPerSecond": 200}
SLOW = {**ENGINE, "prefillSeconds": 0.06}
Object = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A Model, and what its new revision is like."""

    name: str
    canary: Mapping[str, str]
    engine: str = "vllm"
    replicas: int = 4
    weights: Sequence[int] = (50,)
    clients: int = CLIENTS
    pool: str = "h100"
    gpus: int = 1

    def model(self, namespace: str, annotations: Mapping[str, str]) -> Object:
        """Return the Model; annotations tell how its engines behave."""
        quick = {"pull-seconds": "0.1", "load-seconds": "0.3", "profile": json.dumps(ENGINE)}
        says = {f"{SIMULATED}{key}": text for key, text in {**quick, **annotations}.items()}
        steps = [{"weight": weight, "durationSeconds": 10} for weight in self.weights]
        return model(
            namespace,
            self.name,
            engine={"name": self.engine},
            replicas=self.replicas,
            resources={"gpus": self.gpus},
            nodePools=[self.pool],
            drain={"timeoutSeconds": 5},
            podTemplate={"annotations": says},
            rollout={"strategy": "Canary", "canary": {"steps": steps, "analysis": ANALYSIS}},
        )


CASES = (
    Case(name="errors", canary={"error-rate": "0.05"}),
    Case(name="slow", canary={"profile": json.dumps(SLOW)}),
    Case(name="crashes", canary={"crash-after-requests": "30"}),
    Case(name="unasked", canary={"error-rate": "1"}, clients=0),
    Case(
        name="probes",
        canary={"error-rate": "1"},
        engine="llama-cpp",
        replicas=2,
        clients=0,
        pool="a10",
    ),
    Case(name="good", canary={"error-rate": "0"}, weights=(25, 75), pool="l40s", gpus=2),
)
"""They fill all pools."""


@dataclass
class Crowd:
    """Clients that stream from one Service, and note which pod answered."""

    name: str
    address: str
    reached: Counter[str] = field(default_factory=Counter)
    """Requests by the address of the pod, well or badly answered."""
    good: int = 0
    failures: list[str] = field(default_factory=list)

    async def answered(self, more: int) -> None:
        """Wait for as many good answers more."""
        enough = self.good + more
        async with asyncio.timeout(PATIENCE):
            while self.good < enough:
                await asyncio.sleep(0.05)

    async def run(self, stop: asyncio.Event) -> None:
        """Ask again and again, with a new connection for each request."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(self.address, connector=connector) as session:
            while not stop.is_set():
                try:
                    await self._ask(session)
                except (aiohttp.ClientError, TimeoutError) as error:
                    self.failures.append(repr(error))
                await asyncio.sleep(PAUSE)

    async def _ask(self, session: aiohttp.ClientSession) -> None:
        messages = [{"role": "user", "content": "hello"}]
        body = {"model": self.name, "messages": messages, "max_tokens": 8, "stream": True}
        patience = aiohttp.ClientTimeout(total=PATIENCE)
        async with session.post("/v1/chat/completions", json=body, timeout=patience) as answer:
            self.reached[answer.headers["x-modelfleet-address"]] += 1
            text = await answer.text()
        if answer.status == 200 and text.rstrip().endswith("data: [DONE]"):
            self.good += 1
        else:
            self.failures.append(f"{answer.status}: {text[-200:]}")


@dataclass
class Story:
    """One Model, and what was seen of it."""

    client: Client
    namespace: str
    case: Case
    stable: str
    crowd: Crowd
    revisions: dict[str, str] = field(default_factory=dict)
    """Address of a pod → its revision."""
    fewest_ready: int = 1000

    async def watch(self, stop: asyncio.Event) -> None:
        """Look at the pods over and over."""
        while not stop.is_set():
            pods = await self.pods()
            self.revisions |= {pod["status"].get("podIP", ""): _revision(pod) for pod in pods}
            self.fewest_ready = min(self.fewest_ready, sum(map(_serves, pods)))
            await asyncio.sleep(0.2)

    async def pods(self) -> list[Object]:
        """Return all pods, those that leave included."""
        return await self.client.list("Pod", self.namespace, f"{MODEL}={self.case.name}")

    async def until(self, holds: Callable[[Object], Any]) -> Object:
        """Wait for something that takes as long as a verdict does."""
        found: Object | None = None
        try:
            async with asyncio.timeout(LONGEST):
                while True:
                    found = await self.client.find("Model", self.namespace, self.case.name)
                    if found is not None and holds(found):
                        return found
                    await asyncio.sleep(0.2)
        except TimeoutError:
            raise AssertionError(f"{self.case.name} stayed: {(found or {})['status']}") from None

    async def until_only(self, keep: Callable[[str], bool]) -> None:
        """Wait until as many replicas as asked for serve, all of such revisions, and no other."""
        async with asyncio.timeout(PATIENCE):
            while True:
                pods = await self.pods()
                if len(pods) == self.case.replicas and all(
                    _serves(one) and keep(_revision(one)) for one in pods
                ):
                    return
                await asyncio.sleep(0.2)

    @property
    def exposed(self) -> int:
        """The requests that have reached another revision than the stable one."""
        others = {ip for ip, revision in self.revisions.items() if revision != self.stable}
        return sum(count for ip, count in self.crowd.reached.items() if ip in others)


@dataclass(frozen=True)
class Outcome:
    """What became of a canary."""

    story: Story
    begun: Object
    """The Model when the first step was whole."""
    ended: Object
    """The Model when there was a verdict."""
    after: Object
    """The Model at rest."""
    failures_after: int = 0
    """Requests that failed when the canary was gone."""

    @property
    def evidence(self) -> str:
        """What the verdict rests on."""
        return str(_rollout(self.ended)["evidence"])


def _revision(pod: Object) -> str:
    return str(pod["metadata"]["labels"][REVISION])


def _serves(pod: Object) -> bool:
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


def _rollout(found: Object) -> Object:
    rollout: Object = found["status"].get("rollout") or {}
    return rollout


def _began(found: Object) -> Any:
    return _rollout(found).get("stepStartedAt")


# --- what happens ---------------------------------------------------------------------------


@asynccontextmanager
async def under_load(client: Client, namespace: str, case: Case) -> AsyncIterator[Story]:
    """Stream from a Model that serves, and watch its pods."""
    stable = (await client.until_ready(namespace, case.name))["status"]["stableRevision"]
    crowd = Crowd(case.name, await client.until_served(namespace, case.name))
    story, stop = Story(client, namespace, case, stable, crowd), asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(story.watch(stop))
        for _ in range(case.clients):
            tasks.create_task(crowd.run(stop))
        try:
            await crowd.answered(2 * case.clients)
            yield story
        finally:
            stop.set()


async def given_up(story: Story) -> Outcome:
    """Follow a bad canary to its end, and what comes after it."""
    begun = await story.until(_began)
    ended = await story.until(stalled_for("RolloutFailed"))
    seconds = (datetime.now(UTC) - datetime.fromisoformat(_began(begun))).total_seconds()
    await story.until_only(lambda revision: revision == story.stable)
    crowd = story.crowd
    print(f"{story.case.name}: found out {seconds:.0f} s after the step was whole;")
    print(f"requests to the canary: {story.exposed}, failed: {len(crowd.failures)}")
    print(f"evidence: {_rollout(ended)['evidence']}")
    failures = len(crowd.failures)
    await crowd.answered(10 * story.case.clients)
    after = await story.until(is_ready)
    return Outcome(story, begun, ended, after, len(crowd.failures) - failures)


async def left_undecided(story: Story) -> Outcome:
    """Give a canary that nobody asks more time than its step lasts."""
    begun = await story.until(_began)
    ended = await story.until(lambda one: _rollout(one).get("verdict"))
    await asyncio.sleep(10 + 2 * ANALYSIS["intervalSeconds"])
    return Outcome(story, begun, ended, await story.until(is_ready))


async def promoted(story: Story) -> Outcome:
    """Follow a good canary until it is the stable revision."""
    begun = await story.until(_began)
    ended = await story.until(lambda one: _rollout(one).get("step") == 2)
    await story.until(lambda one: one["status"]["stableRevision"] != story.stable)
    print(f"{story.case.name}: requests to the new revision: {story.exposed}")
    await story.until_only(lambda revision: revision != story.stable)
    return Outcome(story, begun, ended, await story.until(is_ready))


ENDS = {"unasked": left_undecided, "good": promoted}


async def told(client: Client, namespace: str, case: Case) -> Outcome:
    """Serve a Model, change it, and follow what becomes of it."""
    async with under_load(client, namespace, case) as story:
        apply(case.model(namespace, case.canary))
        return await ENDS.get(case.name, given_up)(story)


async def all_told(namespace: str) -> Mapping[str, Outcome | BaseException]:
    """Follow all at the same time, each to its own end."""
    async with Client() as client:
        for pool in ("h100", "l40s", "a10"):
            await client.until("GPUNodePool", "", pool, _is_whole)
        apply(*(case.model(namespace, {}) for case in CASES))
        stories = (told(client, namespace, case) for case in CASES)
        ends = await asyncio.gather(*stories, return_exceptions=True)
    return {case.name: end for case, end in zip(CASES, ends, strict=True)}


def _is_whole(pool: Object) -> bool:
    gpus: dict[str, int] = pool.get("status", {}).get("gpus", {})
    return gpus.get("free", 0) == gpus.get("total", -1)


@pytest.fixture(scope="module")
def ends(operator: Operator) -> Iterator[Mapping[str, Outcome | BaseException]]:  # noqa: ARG001
    """Tell what became of each canary."""
    namespace = f"canaries-{os.urandom(3).hex()}"
    kubectl("create", "namespace", namespace)
    yield asyncio.run(all_told(namespace))
    kubectl("delete", "namespace", namespace, "--wait=false")


@pytest.fixture
def outcome(ends: Mapping[str, Outcome | BaseException], request: pytest.FixtureRequest) -> Outcome:
    """What became of the canary that the test is about."""
    found = ends[request.param]
    if isinstance(found, BaseException):
        raise found
    return found


def about(name: str) -> pytest.MarkDecorator:
    """Say which of the cases a test is about."""
    return pytest.mark.parametrize("outcome", [name], indirect=True)


# --- what is expected -----------------------------------------------------------------------


def assert_given_up(outcome: Outcome) -> None:
    """The stable revision has taken all requests back, and a person is told what to do."""
    stable, after = outcome.story.stable, outcome.after
    stalled = condition(after, "Stalled") or {}
    failed = _rollout(after)["failedRevision"]
    assert failed == _rollout(outcome.begun)["revision"] == after["status"]["currentRevision"]
    assert after["status"]["stableRevision"] == stable != failed
    assert stalled["reason"] == "RolloutFailed"
    assert "modelfleet.dev/retry" in stalled["message"]
    assert outcome.failures_after == 0
    # Those of the step went on; the canary's went at once.
    assert outcome.story.fewest_ready >= outcome.story.case.replicas // 2


def assert_one_by_one(outcome: Outcome) -> None:
    """On a full pool one replica after the other gives its GPU away, and no more."""
    assert outcome.story.fewest_ready == outcome.story.case.replicas - 1


@about("errors")
def test_a_canary_with_errors_in_a_twentieth_of_its_answers_is_given_up(outcome: Outcome) -> None:
    assert_given_up(outcome)
    assert "requests failed" in outcome.evidence
    assert {failure[:3] for failure in outcome.story.crowd.failures} == {"500"}


@about("slow")
def test_a_canary_three_times_as_slow_to_the_first_token_is_given_up(outcome: Outcome) -> None:
    assert_given_up(outcome)
    assert "first token" in outcome.evidence
    assert outcome.story.crowd.failures == []


@about("crashes")
def test_a_canary_that_crashes_under_load_is_given_up(outcome: Outcome) -> None:
    assert_given_up(outcome)
    assert outcome.story.crowd.failures


@about("probes")
def test_a_canary_whose_engine_counts_no_errors_is_found_out_by_probes(outcome: Outcome) -> None:
    assert_given_up(outcome)
    assert "rests on our own probes" in outcome.evidence


@about("unasked")
def test_a_canary_left_unasked_is_neither_promoted_nor_given_up(outcome: Outcome) -> None:
    after = outcome.after
    assert _rollout(outcome.ended)["verdict"] == _rollout(after)["verdict"] == "Inconclusive"
    assert (_rollout(outcome.begun)["step"], _rollout(after)["step"]) == (1, 1)
    assert after["status"]["stableRevision"] == outcome.story.stable
    assert condition(after, "Stalled") is None
    assert_one_by_one(outcome)


@about("good")
def test_a_canary_as_good_as_stable_is_promoted_and_no_request_fails(outcome: Outcome) -> None:
    assert _rollout(outcome.ended)["step"] == 2
    assert "rollout" not in outcome.after["status"]
    assert condition(outcome.after, "Stalled") is None
    assert outcome.story.crowd.failures == []
    assert_one_by_one(outcome)
