"""Where the time of an event goes: `perf` over all of the machine, while wrk sends to buzon as in the part ingest."""

import shutil
import subprocess
from pathlib import Path

import machine
import report
from subjects import Buzon, requests, wrk

CONNECTIONS, SECONDS, COSTS = 256, 10, 12


def run(database, folder, options):
    """The shares of the threads of all programs, and the functions that take most in each."""
    if not shutil.which("perf"):
        raise RuntimeError("perf is missing; on Debian and Ubuntu: apt-get install linux-perf (or linux-tools-generic)")
    database.create("ours")
    buzon = Buzon(database, "ours", folder)
    buzon.slice(CONNECTIONS, options.seconds)
    data = Path(folder) / "perf.data"
    command = ["perf", "record", "-a", "-e", "cpu-clock", "-F", "499", "-o", data]
    made = requests(buzon.next, CONNECTIONS, SECONDS, folder)
    recording = machine.Process([str(word) for word in command], f"{folder}/perf.log")
    sent = wrk(buzon.url, made, CONNECTIONS, SECONDS)
    recording.stop()
    buzon.stop()
    disk = machine.fdatasync(folder)
    title = f"Costs of an event, {database.version()}, {sent['requests'] / sent['seconds']:,.0f} events/s"
    threads = shares(data, "comm")
    rows = [[share, thread, ""] for share, thread in threads]
    for _, thread in threads[:4]:
        rows += [[share, thread, symbol] for share, symbol in shares(data, "sym", thread)]
    report.table(title, ["%", "thread", "function"], rows, disk)
    return {"costs": rows, "disk": disk}


def shares(data, key, thread=None):
    """What `perf report` says, the largest first: percent of all samples, and a thread's or a function's name."""
    command = ["perf", "report", "-i", data, "--no-children", "-g", "none", "--stdio", "--sort", key]
    command += ["--comm", thread] if thread else []
    said = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True).stdout
    lines = [line.split(maxsplit=1) for line in said.splitlines() if line.strip() and not line.startswith("#")]
    return [(float(share.rstrip("%")), name.strip()) for share, name in lines[:COSTS]]
