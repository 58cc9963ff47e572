"""From exec to the first 200; the size of the binary, and the memory of a process that has nothing to do."""

import http.client
import os
import socket
import time

import machine
import report
from report import number, verdict
from subjects import Buzon

PATIENCE = 60


def times(database, name, folder, count):
    """Seconds from exec to the first 200 of `/health/ready`, over and over."""
    return [once(database, name, folder) for _ in range(count)]


def once(database, name, folder):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    buzon = Buzon(database, name, folder, listen=f"127.0.0.1:{port}")
    try:
        while not ready(port):
            if time.perf_counter() - began > PATIENCE:
                raise RuntimeError(f"buzon did not start; see {folder}/{name}.log")
            time.sleep(0.001)
        return time.perf_counter() - began
    finally:
        buzon.stop()


def ready(port):
    connection = http.client.HTTPConnection("127.0.0.1", port)
    try:
        connection.request("GET", "/health/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def run(database, folder, options):
    """A database that is new at each start, then one that was there and is empty."""
    new = []
    for place in range(options.starts):
        database.create(f"start{place}")
        new.append(once(database, f"start{place}", folder))
    again = times(database, "start0", folder, options.starts)
    buzon = Buzon(database, "start0", folder)
    time.sleep(1 if options.quick else 3)
    idle = machine.memory(buzon.pid)
    buzon.stop()
    binary = os.path.getsize(os.environ["BENCH_BUZON"]) / 1e6
    disk = machine.fdatasync(folder)
    verdicts = [
        verdict("from exec to the first 200, s, with the schema to be made", new, at_most=0.3),
        verdict("from exec to the first 200, s, empty", again, at_most=0.3),
    ]
    report.targets(f"Start, {database.version()}", verdicts, disk)
    print(f"\nThe binary has {number(binary)} MB; an idle process {number(idle)} MB.", flush=True)
    return {"new": new, "empty": again, "idle_mb": idle, "binary_mb": binary, "targets": verdicts, "disk": disk}
