"""Runs in a pod: `asking.py URL MODEL WORKERS TOKENS` streams answers until its input ends.

Prints a line of JSON for each request, when it ends.
"""

import asyncio
import json
import sys
from typing import Any

import aiohttp

Told = dict[str, Any]

QUESTION = "Tell me a long story about a river, a mill and the people who live there."


async def ask(session: aiohttp.ClientSession, url: str, model: str, tokens: int) -> Told:
    """Ask once, and tell how it went: a whole answer has as many tokens as were asked for."""
    told: Told = {"chunks": 0, "finish": None, "done": False, "error": None}
    question = {
        "model": model,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_tokens": tokens,
        "stream": True,
        # Or the story ends where the model thinks that it does.
        "ignore_eos": True,
    }
    try:
        async with session.post(url, json=question) as answer:
            answer.raise_for_status()
            async for line in answer.content:
                _hear(line.removeprefix(b"data: ").strip(), told)
    except (aiohttp.ClientError, OSError) as error:
        told["error"] = repr(error)
    return told


def _hear(said: bytes, told: Told) -> None:
    if said == b"[DONE]":
        told["done"] = True
    elif said.startswith(b"{"):
        for choice in json.loads(said).get("choices", []):
            told["chunks"] += 1
            told["finish"] = choice.get("finish_reason") or told["finish"]


async def main(url: str, model: str, workers: str, tokens: str) -> None:
    """Ask with so many workers, one question after another each, until the input ends."""
    over = asyncio.Event()

    async def work() -> None:
        while not over.is_set():
            print(json.dumps(await ask(session, url, model, int(tokens))), flush=True)
            await asyncio.sleep(0.05)

    # A kept connection would stay with its pod: each question is routed anew.
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True), timeout=aiohttp.ClientTimeout(600)
    ) as session:
        running = asyncio.gather(*(work() for _ in range(int(workers))))
        await asyncio.to_thread(sys.stdin.read)
        over.set()
        await running


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
