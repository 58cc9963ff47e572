"""Cells: 1, 2 and 4 schemas of one PostgreSQL server, each with its own buzon, with the server's own syncs, with syncs that
take 3 ms longer, and through a proxy that adds 2 ms to a round trip."""

import asyncio
import concurrent.futures
import os
import shutil
import subprocess
import threading
from pathlib import Path

import machine
import report
from ingest import open_loop
from report import median, number, spread
from subjects import Buzon, wrk

COUNTS = [1, 2, 4]
CONNECTIONS = 64
# Events in a second below saturation, of all cells together.
RATE = 300
# The whole delay of a round trip, in seconds.
PROXY_DELAY = 0.002
SYNC_DELAY_MS = 3
HEAD = [
    "cells", "connections each", "events/s (least–most)", "times one cell", "p99 ms", "buzon CPU s/1,000", "database CPU s/1,000",
]

# Loaded into PostgreSQL, it makes each sync of a file take longer, as a network disk does.
SLOW_SYNC = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>
static void wait_a_little(void) {
    long ms = atol(getenv("BENCH_SYNC_DELAY_MS"));
    struct timespec pause = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&pause, 0);
}
int fdatasync(int file) {
    int (*sync)(int) = dlsym(RTLD_NEXT, "fdatasync");
    wait_a_little();
    return sync(file);
}
int fsync(int file) {
    int (*sync)(int) = dlsym(RTLD_NEXT, "fsync");
    wait_a_little();
    return sync(file);
}
"""


class DelayingProxy:
    """Passes bytes on in both directions, each after half of the delay, and keeps their order."""

    def __init__(self, port):
        self._to, self._loop = port, asyncio.new_event_loop()
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    async def _serve(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._to)
        await asyncio.gather(self._pass(reader, there_writer), self._pass(there_reader, writer))

    async def _pass(self, reader, writer):
        queue = asyncio.Queue()
        sending = asyncio.create_task(self._send(queue, writer))
        while data := await reader.read(65_536):
            queue.put_nowait((self._loop.time() + PROXY_DELAY / 2, data))
        queue.put_nowait((0, b""))
        await sending

    async def _send(self, queue, writer):
        while True:
            due, data = await queue.get()
            if not data:
                writer.close()
                return
            await asyncio.sleep(max(0, due - self._loop.time()))
            writer.write(data)


class Cell:
    """What `Buzon` asks of a database, for a cell."""

    name = "postgres"

    def __init__(self, server, name, port=None):
        self._server, self._name, self._port = server, name, port
        made = machine.output(
            [os.environ["BENCH_BUZON"], "cell", "init", name], env={**os.environ, "BUZON_DATABASE_URL": server.url("cells")}
        )
        self._url = next(line.split("=", 1)[1] for line in made.splitlines() if line.startswith("BUZON_DATABASE_URL="))

    def url(self, _):
        if self._port is None:
            return self._url
        head, _, tail = self._url.partition("@")
        host, _, rest = tail.partition("/")
        return f"{head}@{host.rpartition(':')[0]}:{self._port}/{rest}"

    def cpu_seconds(self):
        return self._server.cpu_seconds()

    def transactions(self, _):
        return self._server.transactions("cells")


def slices(cells, seconds):
    """One slice of all cells at the same time. CPU seconds are of all of them together."""
    made = [cell.made(CONNECTIONS, seconds) for cell in cells]
    used = lambda: (sum(machine.cpu_seconds(cell.pid) for cell in cells), cells[0].database.cpu_seconds())
    before = used()
    with concurrent.futures.ThreadPoolExecutor(len(cells)) as threads:
        sent = list(threads.map(lambda it: wrk(it[0].url, it[1], CONNECTIONS, seconds), zip(cells, made)))
    own, database = (after - earlier for after, earlier in zip(used(), before))
    for cell, of_cell in zip(cells, sent):
        cell.next += of_cell["sent"]
    thousands = sum(it["requests"] for it in sent) / 1_000
    return {
        "per_second": sum(it["requests"] / it["seconds"] for it in sent),
        "p99_ms": max(it["p99_ms"] for it in sent),
        "own_cpu": own / thousands,
        "database_cpu": database / thousands,
    }


def paced(cells, options):
    """300 events/s in all, in an open loop."""
    rate = RATE // len(cells)
    used = lambda: (sum(machine.cpu_seconds(cell.pid) for cell in cells), cells[0].database.cpu_seconds())
    before = used()
    with concurrent.futures.ThreadPoolExecutor(len(cells)) as threads:
        said = list(threads.map(lambda cell: open_loop(cell, options, rate), cells))
    own, database = (after - earlier for after, earlier in zip(used(), before))
    thousands = rate * len(cells) * options.pace_seconds / 1_000
    worst = max(it["latency"]["p99_ms"] for it in said)
    return {"p99_ms": worst, "own_cpu": own / thousands, "database_cpu": database / thousands}


def slow_sync(folder):
    """The library that makes syncs slow, for `LD_PRELOAD`; `None` where there is no compiler."""
    if not shutil.which("cc"):
        return None
    source, library = Path(folder) / "slow_sync.c", Path(folder) / "slow_sync.so"
    source.write_text(SLOW_SYNC)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    library.chmod(0o755)
    return library


def cell_of(server, name, folder, port):
    folder.mkdir()
    settings = {"BUZON_CELL": name, "BUZON_MEDIA_DOWNLOADS": "0"}
    return Buzon(Cell(server, name, port), name, folder, settings=settings)


def measure(server, folder, options, title, port=None):
    table, one, measured = [], None, {}
    server.create("cells")
    for count in COUNTS:
        names = [f"c{count}_{place}" for place in range(count)]
        # The same events, as each of them is new to its cell.
        cells = [cell_of(server, name, Path(folder) / name, port) for name in names]
        slices(cells, 1)
        rounds = []
        for _ in range(options.rounds):
            server.rest()
            rounds.append(slices(cells, options.seconds))
        measured[count] = {"saturated": rounds, "at 300/s": paced(cells, options)}
        for cell in cells:
            cell.stop()
        rate = median(rounds, "per_second")
        one = one or rate
        table.append([
            count, CONNECTIONS, spread([it["per_second"] for it in rounds]), f"{rate / one:.2f}×",
            number(median(rounds, "p99_ms"), 1), number(median(rounds, "own_cpu"), 3), number(median(rounds, "database_cpu"), 3),
        ])
    report.table(f"Cells on one PostgreSQL, {title}", HEAD, table, machine.fdatasync(folder))
    for count, it in measured.items():
        print(f"{count} cells at 300 events/s in all: {it['at 300/s']}")
    return measured


def run(database, folder, options):
    """Three servers, one after the other. Cells are of PostgreSQL."""
    if database.name != "postgres":
        return {}
    measured = {"own syncs": measure(database, folder, options, "with its own syncs")}
    through = server_in(folder, "proxied", {})
    proxy = DelayingProxy(through.port)
    title = f"through a proxy that adds {PROXY_DELAY * 1_000:.0f} ms to a round trip"
    measured["proxy"] = measure(through, Path(folder) / "proxied", options, title, proxy.port)
    if library := slow_sync(folder):
        slow = server_in(folder, "slow", {"LD_PRELOAD": str(library), "BENCH_SYNC_DELAY_MS": str(SYNC_DELAY_MS)})
        title = f"with syncs that take {SYNC_DELAY_MS} ms longer"
        measured["slow syncs"] = measure(slow, Path(folder) / "slow", options, title)
    return measured


def server_in(folder, name, environment):
    """Another server, with its data and its cells in a folder of its own."""
    import databases

    (Path(folder) / name).mkdir(mode=0o755)
    return databases.Postgres(Path(folder) / name, environment)
