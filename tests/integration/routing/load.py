"""Steady load by one client that keeps its connections, and what it saw."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import aiohttp


@dataclass
class Seen:
    """Answers by (status, revision), and failures below HTTP by their text."""

    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    broken: list[str] = field(default_factory=list)
    sent: int = 0

    def status(self, *statuses: int) -> int:
        """How many answers had one of these."""
        return sum(count for (status, _), count in self.answers.items() if status in statuses)

    @property
    def failed(self) -> int:
        """Requests that a client would call failed."""
        return len(self.broken) + sum(n for (status, _), n in self.answers.items() if status >= 500)


async def send(
    url: str, count: int, *, per_second: float = 200.0, body: bytes = b"{}", seen: Seen | None = None
) -> Seen:
    """Send `count` requests at a steady rate, however long each takes, and wait for all answers."""
    seen = seen or Seen()
    loop = asyncio.get_running_loop()
    async with (
        aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0), timeout=aiohttp.ClientTimeout(total=30)
        ) as http,
        asyncio.TaskGroup() as tasks,
    ):
        started = loop.time()
        for number in range(count):
            await asyncio.sleep(max(0.0, started + number / per_second - loop.time()))
            tasks.create_task(_send_one(http, url, body, seen))
    return seen


async def _send_one(http: aiohttp.ClientSession, url: str, body: bytes, seen: Seen) -> None:
    seen.sent += 1
    try:
        async with http.post(url + "/predict", data=body) as response:
            await response.read()
            seen.answers[response.status, response.headers.get("x-revision", "")] += 1
    except (aiohttp.ClientError, TimeoutError) as error:
        seen.broken.append(repr(error))
