"""Steady client traffic, run in a pod of the cluster: standard library only.

Arrivals are evenly spaced whatever the answers do (an open loop), so that a slow server sees no mercy. Prints one
JSON line each second, and a last one with "total": true. Ends after --requests, or on SIGTERM. "stalled" is the
longest time, in seconds, for which this process itself stood still: what fails then says nothing of the server.

Begins when the address takes a connection: a Service's leads nowhere until this node's kube-proxy has heard of its
first endpoint, which is up to a second after that is ready, and nobody tells.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit


class Tally:
    """What clients saw."""

    def __init__(self) -> None:
        self.status: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.failures: list[dict[str, object]] = []
        self.sent = 0
        self.slowest = 0.0
        self.stalled = 0.0
        self.latencies: list[float] = []

    def line(self, *, total: bool) -> str:
        ordered = sorted(self.latencies)
        failed = sum(count for status, count in self.status.items() if not status.startswith(("2", "4")))
        return json.dumps(
            {
                "total": total,
                "time": round(time.time(), 3),
                "sent": self.sent,
                "answered": sum(self.status.values()),
                "failed": failed,
                "status": dict(self.status),
                "versions": dict(self.versions),
                "p50": _quantile(ordered, 0.5),
                "p99": _quantile(ordered, 0.99),
                "slowest": round(self.slowest, 3),
                "stalled": round(self.stalled, 3),
                "failures": self.failures[:20],
            }
        )


def _quantile(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 4) if ordered else None


class Connection:
    """One kept-alive connection, and when it was opened and last used (on the loop's clock)."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.opened = self.used = time.monotonic()
        self.answers = 0

    def __str__(self) -> str:
        now = time.monotonic()
        return f"{now - self.opened:.2f}s old, {self.answers} answers, last used {now - self.used:.2f}s ago"


async def reachable(host: str, port: int, seconds: float = 30.0) -> None:
    """Wait until the address takes a connection."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            _, writer = await asyncio.open_connection(host, port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.05)
        else:
            writer.close()
            return


async def connected(host: str, port: int, pool: list[Connection]) -> Connection:
    """The connection that was used last, as long as the other end has not closed it, or a new one."""
    while pool:
        connection = pool.pop()
        if not connection.reader.at_eof():
            return connection
        connection.writer.close()
    return Connection(*await asyncio.open_connection(host, port))


async def request(host: str, port: int, path: str, body: bytes, pool: list[Connection]) -> tuple[int, bytes]:
    """One POST over a kept-alive connection of the pool. Nothing is sent twice."""
    connection = await connected(host, port, pool)
    reader, writer = connection.reader, connection.writer
    try:
        writer.write(
            f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        headers = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
        if b"content-length" in headers:
            answer = await reader.readexactly(int(headers[b"content-length"]))
        else:
            answer = b""
            while size := int((await reader.readline()).strip() or b"0", 16):
                answer += await reader.readexactly(size)
                await reader.readline()
            await reader.readline()
    except (OSError, asyncio.IncompleteReadError) as error:
        writer.close()
        raise ConnectionError(f"{type(error).__name__}: {error}; connection {connection}") from error
    except BaseException:
        writer.close()
        raise
    if headers.get(b"connection", b"").strip() == b"close":
        writer.close()
    else:
        connection.used = time.monotonic()
        connection.answers += 1
        pool.append(connection)
    return status, answer


async def main() -> None:
    """Sends what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--timeout", type=float, default=15.0, help="seconds")
    parser.add_argument("--rows", type=Path, required=True, help="file with one JSON row a line")
    options = parser.parse_args()
    url = urlsplit(options.url)
    host, port = url.hostname or "", url.port or 80
    rows = [json.loads(line) for line in options.rows.read_text().splitlines() if line.strip()]
    random.Random(7).shuffle(rows)
    bodies = itertools.cycle([json.dumps({"rows": [row]}).encode() for row in rows])
    tally, pool, running, stop = Tally(), [], set(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async def one(number: int, body: bytes) -> None:
        begun = time.monotonic()
        try:
            status, answer = await asyncio.wait_for(
                request(host, port, url.path, body, pool), options.timeout
            )
            outcome = str(status)
            if status == 200:
                tally.versions[json.loads(answer).get("version", "")] += 1
        except (OSError, TimeoutError, ValueError) as error:
            outcome, answer = type(error).__name__, str(error).encode()
        taken = time.monotonic() - begun
        tally.status[outcome] += 1
        tally.latencies.append(taken)
        tally.slowest = max(tally.slowest, taken)
        if not outcome.startswith(("2", "4")):
            tally.failures.append(
                {
                    "number": number,
                    "time": round(time.time(), 3),
                    "outcome": outcome,
                    "answer": answer[:200].decode(errors="replace"),
                    "seconds": round(taken, 3),
                }
            )

    await reachable(host, port)
    begun = time.monotonic()
    spoken = begun
    while tally.sent < options.requests and not stop.is_set():
        now = time.monotonic()
        due = min(options.requests, int((now - begun) * options.rate) + 1)
        while tally.sent < due:
            task = asyncio.create_task(one(tally.sent, next(bodies)))
            running.add(task)
            task.add_done_callback(running.discard)
            tally.sent += 1
        if now - spoken >= 1:
            spoken = now
            print(tally.line(total=False), flush=True)
        due_at = begun + tally.sent / options.rate
        await asyncio.sleep(max(0.0, due_at - time.monotonic()))
        tally.stalled = max(tally.stalled, time.monotonic() - max(now, due_at))
    if running:
        await asyncio.wait(running)
    print(tally.line(total=True), flush=True)


asyncio.run(main())
