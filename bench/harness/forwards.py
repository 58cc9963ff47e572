"""Forwards: what three of them cost the events that arrive, and how fast one hands on what has piled up."""

import subprocess
import time
from pathlib import Path

import machine
import report
from databases import record
from ingest import HEAD, open_loop, rounds, rows
from report import number, ratios, verdict
from subjects import DRIVER, Buzon

CONNECTIONS = 64
# How long the receivers take, in milliseconds. The last one hangs: nothing waits so long for an answer.
DELAYS = [1, 1, 3_600_000]
PATIENCE = 300


def receivers(folder, delays):
    command = lambda delay: [DRIVER, "receiver", str(delay)]
    return [machine.Process(command(it), f"{folder}/receiver.log", stdin=subprocess.PIPE) for it in delays]


def settings(folder, name, urls):
    """Those of a service with a forward to each of these URLs."""
    file = Path(folder) / f"{name}.toml"
    forward = '[[forwards]]\nname = "to{}"\nurl = "{}"\nmax_age = "none"\n'
    file.write_text("".join(forward.format(place, url) for place, url in enumerate(urls)))
    return {"BUZON_CONFIG": str(file), "BUZON_MEDIA_DOWNLOADS": "0"}


def run(database, folder, options):
    disk = machine.fdatasync(folder)
    slices, paces = beside(database, folder, options)
    title = f"Ingest with three forwards, of which one hangs, {database.version()}"
    report.table(title, [*HEAD[:3], "with them is", *HEAD[4:]], rows(CONNECTIONS, slices, "with forwards"), disk)
    for label, said in paces.items():
        print(f"{label}, 300 events/s, open loop, p99 ms: {[it['p99_ms'] for it in said]}")
    rate = handed_on(database, folder, options)
    verdicts = [
        verdict("p99 at 300 events/s, open loop, with forwards against without", ratios(*paces.values(), "p99_ms"), at_most=1.1),
        verdict(f"{CONNECTIONS} connections, with forwards against without", ratios(*slices.values())),
        verdict("events/s to a receiver that takes 1 ms", [rate], at_least=2_000),
    ]
    report.targets(f"Targets, forwards, {database.version()}", verdicts, disk)
    return {"slices": slices, "open_loop": paces, "handed_on": rate, "targets": verdicts, "disk": disk}


def beside(database, folder, options):
    """The same events to a service with forwards and to one without, in turn: in an open loop, then in a closed one."""
    started = receivers(folder, DELAYS)
    subjects = {}
    for name, label, urls in [("three", "with forwards", [it.line() for it in started]), ("none", "without forwards", [])]:
        database.create(name)
        subjects[label] = Buzon(database, name, folder, settings=settings(folder, name, urls))
    paced = [(label, lambda _, it=it: open_loop(it, options)["latency"]) for label, it in subjects.items()]
    paces = rounds(database, paced, options.rounds, None)
    closed = [(label, lambda seconds, it=it: it.slice(CONNECTIONS, seconds)) for label, it in subjects.items()]
    slices = rounds(database, closed, options.rounds, options.seconds)
    for process in [*subjects.values(), *started]:
        process.stop()
    return slices, paces


def handed_on(database, folder, options):
    """Events a second that one forward hands on, from the start of the service to the last event."""
    name, (receiver,) = "backlog", receivers(folder, DELAYS[:1])
    database.create(name)
    with_forward = settings(folder, name, [receiver.line()])
    # A new forward begins with what comes next.
    Buzon(database, name, folder, settings=with_forward).stop()
    record(database, name, options.backlog)
    buzon, began = Buzon(database, name, folder, settings=with_forward), time.perf_counter()
    behind = "SELECT (SELECT seq FROM ledger_clock) - position FROM forwards"
    while int(database.sql(name, behind)) > 0:
        if time.perf_counter() - began > PATIENCE:
            raise RuntimeError(f"not all was handed on: {database.sql(name, 'SELECT * FROM forwards')}")
        time.sleep(0.1)
    seconds = time.perf_counter() - began
    delivered = int(database.sql(name, "SELECT delivered FROM forwards"))
    print(f"{number(delivered)} events were handed on in {seconds:.1f} s")
    buzon.stop()
    receiver.stop()
    return delivered / seconds
