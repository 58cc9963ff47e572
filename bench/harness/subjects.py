"""What is measured: buzon, and what it is compared with. Each runs a slice of a few seconds at a time."""

import json
import os
import re
from pathlib import Path

import machine

SECRET = "the secret of the benchmark"
TOKEN = "a-token-for-the-benchmark-of-36-chars"
DRIVER = os.environ["BENCH_DRIVER"]
EXPRESS = os.environ["BENCH_EXPRESS"]
# Nobody here sends more in a second.
MOST_REQUESTS = 25_000


def requests(first, connections, seconds, folder):
    """A file of signed events, and how many there are: more than will be sent."""
    file, count = Path(folder) / "requests", int(min(MOST_REQUESTS, 4_000 * connections) * seconds)
    with file.open("w") as out:
        machine.subprocess.run([DRIVER, "requests", str(first), str(count)], stdout=out, check=True)
    return file, count


def wrk(url, made, connections, seconds):
    """Sends signed events in a closed loop. Each is sent once, so a slice begins where the last one ended."""
    file, count = made
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout=10s", "-s", "bench/requests.lua", url, "--"]
    said = machine.output([*command, file])
    sent = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    if sent["sent"] >= count:
        raise RuntimeError(f"{url} answered more than the {count} requests that were made")
    # One on each connection was under way at the end, and wrk tries the script once before.
    lost = sent["sent"] - sent["requests"] - connections - 1
    if sent["failed"] or lost > 0:
        raise RuntimeError(f"{url}: {sent['failed']} requests failed, {max(lost, 0)} were not answered; see {file.parent}")
    return sent


class Receiver:
    """A server that takes events over HTTP."""

    def __init__(self, database, name, folder, first=0):
        self.database, self.name, self.folder, self.next = database, name, folder, first

    def made(self, connections, seconds):
        """The next events, for a slice."""
        return requests(self.next, connections, seconds, self.folder)

    def slice(self, connections, seconds):
        made = self.made(connections, seconds)
        machine.forget_peak_memory(self.pid)
        before = self._counts()
        sent = wrk(self.url, made, connections, seconds)
        own, server, transactions = (after - earlier for after, earlier in zip(self._counts(), before))
        self.next += sent["sent"]
        thousands = sent["requests"] / 1_000
        return {
            "per_second": sent["requests"] / sent["seconds"],
            **{key: sent[key] for key in ("p50_ms", "p99_ms", "p999_ms")},
            "own_cpu": own / thousands,
            "database_cpu": server / thousands,
            "transactions": transactions / thousands,
            "peak_mb": machine.peak_memory(self.pid),
        }

    def _counts(self):
        own, server = machine.cpu_seconds(self.pid), self.database.cpu_seconds()
        return own, server, self.database.transactions(self.name)

    @property
    def pid(self):
        return self.process.pid

    def stop(self):
        self.process.stop()


class Buzon(Receiver):
    label = "buzon"

    def __init__(self, database, name, folder, first=0, settings=None, listen="127.0.0.1:0"):
        super().__init__(database, name, folder, first)
        environment = {
            "BUZON_DATABASE_URL": database.url(name),
            "BUZON_DATA_DIR": f"{folder}/{name}-data",
            "BUZON_LISTEN": listen,
            "BUZON_WEBHOOK_SECRET": SECRET,
            "BUZON_API_TOKEN": TOKEN,
            **({"BUZON_MEDIA_DOWNLOADS": "0"} if settings is None else settings),
        }
        command = [os.environ["BENCH_BUZON"], "serve"]
        self.process = machine.Process(command, f"{folder}/{name}.log", environment)
        if listen.endswith(":0"):
            self.url = self.process.line(lambda line: "listening" in line).split()[1].removesuffix("/webhook")


class Repeats(Buzon):
    """What an event costs without what it is for: those of the first slice, again and again."""

    label = "buzon, of repeats alone"

    def slice(self, connections, seconds):
        stored = self.next
        done = super().slice(connections, seconds)
        self.next = stored or self.next
        return done

    def made(self, connections, seconds):
        file, count = requests(0, connections, seconds, self.folder)
        if self.next:
            stored = file.read_text().splitlines(keepends=True)[: self.next]
            file.write_text("".join(stored * (count // len(stored) + 1)))
        return file, count


class Express(Receiver):
    """The guide's receiver, made durable as a user would."""

    def __init__(self, database, name, folder):
        super().__init__(database, name, folder)
        driver = {"postgres": "pg", "sqlite": "better_sqlite3"}[database.name]
        self.label = f"Express with {driver.replace('_', '-')}"
        environment = {"WHAPI_WEBHOOK_SECRET": SECRET, "NODE_ENV": "production"}
        if database.name == "postgres":
            environment["DATABASE_URL"] = database.create(name)
            database.sql(name, Path("bench/express/messages.sql").read_text())
        else:
            environment["DATABASE_FILE"] = str(database.path(name))
        self.process = machine.Process(["node", f"{EXPRESS}/with_{driver}.js"], f"{folder}/{name}.log", environment)
        self.url = self.process.line()


class Pgbench:
    """One row of the same table in each transaction, without HTTP."""

    label = "pgbench"

    def __init__(self, database, name, folder):
        self._url = database.create(name)
        database.sql(name, Path("bench/express/messages.sql").read_text())

    def slice(self, connections, seconds):
        rate = None
        # The time runs while the clients connect; where that took all of it, pgbench has no rate to tell.
        while not rate:
            command = ["pgbench", "-n", "-Mprepared", "-fbench/insert.pgbench", f"-c{connections}", "-j1", f"-T{seconds}"]
            rate = re.search(r"tps = ([\d.]+)", machine.output([*command, self._url]))
            seconds *= 2
        return {"per_second": float(rate.group(1))}


class Batches:
    """The writer's own statements from a tight loop, without HTTP."""

    def __init__(self, database, name, folder):
        self.label = "the database's batch limit"
        self._url, self._next = database.create(name), 0

    def slice(self, batch, seconds):
        command = [DRIVER, "batches", self._url, self._next, "--batch", batch, "--seconds", seconds]
        done = json.loads(machine.output(command))
        self._next += done["events"]
        return {"per_second": done["events"] / done["seconds"], **done["latency"]}
