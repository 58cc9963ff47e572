"""The two databases: where they are, and what they have done."""

import json
import os
import subprocess
import time
from pathlib import Path

import machine


class Postgres:
    """A throw-away server with a quarter of the memory for its buffers, as PostgreSQL's manual has it, and with room for
    pgbench's 256 clients."""

    name = "postgres"
    OPTIONS = ["-c", f"shared_buffers={machine.MEMORY // 4}MB", "-c", "max_wal_size=4GB", "-c", "max_connections=300"]

    def __init__(self, folder, environment=None):
        log = Path(folder) / "postgres.log"
        environment = {"TMPDIR": str(folder), **(environment or {})}
        server = machine.Process(["scripts/postgres", *self.OPTIONS], log, environment, stdin=subprocess.PIPE)
        self._base = server.line().rpartition("/")[0]
        data = self.sql("postgres", "SHOW data_directory").strip()
        self._pid = int(Path(data, "postmaster.pid").read_text().split()[0])

    def create(self, name):
        self.sql("postgres", f"CREATE DATABASE {name}")
        return self.url(name)

    def url(self, name):
        return f"{self._base}/{name}"

    @property
    def port(self):
        return int(self._base.rpartition(":")[2])

    def sql(self, name, statement):
        return machine.output(["psql", self.url(name), "--no-psqlrc", "-Atqc", statement])

    def cpu_seconds(self):
        return machine.cpu_seconds(self._pid)

    def transactions(self, name):
        """Writing ones, since the server began."""
        return int(self.sql(name, "SELECT pg_snapshot_xmax(pg_current_snapshot())"))

    def bytes(self, name):
        return int(self.sql(name, f"SELECT pg_database_size('{name}')"))

    def rest(self):
        """Waits until autovacuum has nothing more to do for what others wrote, or for a minute."""
        busy = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'autovacuum worker'"
        deadline = time.monotonic() + 60
        while int(self.sql("postgres", busy)) > 0 and time.monotonic() < deadline:
            time.sleep(0.2)

    def settle(self, name):
        """What autovacuum does within minutes of a large import."""
        self.sql(name, "VACUUM ANALYZE")
        self.sql(name, "CHECKPOINT")

    def version(self):
        return "PostgreSQL " + self.sql("postgres", "SHOW server_version").split()[0]


class Sqlite:
    """Files in a folder. The database's work is that of the process that has them open."""

    name = "sqlite"

    def __init__(self, folder):
        self._folder = Path(folder)

    def create(self, name):
        return self.url(name)

    def url(self, name):
        return f"sqlite://{self.path(name)}"

    def path(self, name):
        return self._folder / f"{name}.db"

    def sql(self, name, statement):
        return machine.output(["sqlite3", "-cmd", ".timeout 5000", self.path(name), statement])

    def cpu_seconds(self):
        return 0.0

    def transactions(self, name):
        """As the header of the WAL's index counts them."""
        header = Path(f"{self.path(name)}-shm").read_bytes()[8:12]
        return int.from_bytes(header, "little")

    def bytes(self, name):
        """Of the file, which has all when nobody has it open."""
        return self.path(name).stat().st_size

    def rest(self):
        pass

    def settle(self, name):
        self.sql(name, "PRAGMA wal_checkpoint(TRUNCATE)")

    def version(self):
        return "SQLite, as built in"


def load(database, name, messages):
    """Fills a new database past the writer (tests/size), asks it all questions of docs/performance.md, and prints how
    long the answers take. Gives the seconds of all that."""
    url, began = database.create(name), time.perf_counter()
    test = f"size::each_question_is_answered_on_{'postgresql' if database.name == 'postgres' else 'sqlite'}"
    size = {"BUZON_TEST_SIZE": str(messages), "BUZON_TEST_SIZE_DATABASE": url, "BUZON_TEST_LIMIT": "0"}
    command = [os.environ["BENCH_LOADER"], "--exact", test, "--nocapture"]
    print(f"\n### Read, {database.version()}, {messages:,} messages, all questions\n", flush=True)
    subprocess.run(command, env={**os.environ, **size}, check=True)
    database.settle(name)
    return time.perf_counter() - began


def record(database, name, events):
    """Records the first events of the sequence by the writer's own batches: how many, and the seconds."""
    done = machine.output([os.environ["BENCH_DRIVER"], "batches", database.url(name), "0", "--count", str(events)])
    return json.loads(done)
