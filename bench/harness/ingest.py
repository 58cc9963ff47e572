"""Events in a second: every subject has a slice of each round, so that what disturbs the machine disturbs all."""

import json

import machine
import report
from report import median, number, ratios, spread, verdict
from subjects import DRIVER, EXPRESS, Batches, Buzon, Express, Pgbench, Repeats

HEAD = [
    "connections", "subject", "events/s (least–most)", "buzon is", "p50 ms", "p99 ms", "p99.9 ms",
    "own CPU s/1,000", "database CPU s/1,000", "transactions/1,000", "peak MB",
]


def rounds(database, subjects, count, seconds):
    """Slices by label, of `count` rounds after one that warms up, each of which another subject begins. A subject is a
    label and what runs its slice, which begins when the database has done with what the one before left it to do."""
    slices = {label: [] for label, _ in subjects}
    for label, run in subjects:
        run(1)
    for turn in range(count):
        first = turn % len(subjects)
        for label, run in subjects[first:] + subjects[:first]:
            database.rest()
            slices[label].append(run(seconds))
    return slices


def rows(connections, slices, ours="buzon"):
    for label, of_subject in slices.items():
        figures = [median(of_subject, key) for key in ("p50_ms", "p99_ms", "p999_ms")]
        costs = [median(of_subject, key) for key in ("own_cpu", "database_cpu")]
        ratio = "" if label == ours else f"{report.statistics.median(ratios(slices[ours], of_subject)):.2f}×"
        yield [
            connections, label, spread([it["per_second"] for it in of_subject]), ratio,
            *(number(it, 2) for it in figures), *(number(it, 3) for it in costs),
            number(median(of_subject, "transactions")), number(median(of_subject, "peak_mb")),
        ]


def run(database, folder, options):
    """The whole matrix beside the baselines. All have a new database for each number of connections."""
    verdicts, table, measured, disks = [], [], {}, []
    for connections in options.connections:
        disks.append(machine.fdatasync(folder))
        name = lambda subject: f"{subject}{connections}"
        database.create(name("ours"))
        buzon, express = Buzon(database, name("ours"), folder), None
        before = database.bytes(name("ours"))
        subjects = [buzon]
        if EXPRESS and not (options.quick and database.name == "sqlite"):
            express = Express(database, name("express"), folder)
            subjects.append(express)
        if connections == 256 or options.quick:
            database.create(name("repeats"))
            subjects.append(Repeats(database, name("repeats"), folder))
        batches = Batches(database, name("batches"), folder)
        competing = [(it.label, lambda seconds, it=it: it.slice(connections, seconds)) for it in subjects]
        if connections == 1:
            competing.append(("one event, without HTTP", lambda seconds: batches.slice(1, seconds)))
        if connections == 256 or options.quick:
            competing.append((batches.label, lambda seconds: batches.slice(256, seconds)))
        pgbench = Pgbench(database, name("pgbench"), folder) if database.name == "postgres" else None
        for clients in {connections, min(connections, 64)} if pgbench else []:
            competing.append((f"pgbench, {clients} clients", lambda seconds, n=clients: pgbench.slice(n, seconds)))
        slices = rounds(database, competing, options.rounds, options.seconds)
        measured[connections] = slices
        table.extend(rows(connections, slices))
        verdicts.extend(judge(database, connections, slices, express, batches))
        if connections == options.connections[-1]:
            pace = open_loop(buzon, options)
        for subject in subjects:
            subject.stop()
        events = int(database.sql(name("ours"), "SELECT count(*) FROM events"))
        grown = (database.bytes(name("ours")) - before) / max(events, 1)
    verdicts.append(verdict("p99 at 300 events/s, open loop, ms", [pace["latency"]["p99_ms"]], at_most=50))
    disk = "; ".join(disks)
    report.table(f"Ingest, {database.version()}, from empty", HEAD, table, disk)
    print(f"\n{number(grown)} bytes on disk for an event. 300 events/s, open loop: {pace['latency']}")
    report.targets(f"Targets, {database.version()}", verdicts, disk)
    return {"slices": measured, "bytes_per_event": grown, "open_loop": pace, "targets": verdicts, "disk": disks}


def judge(database, connections, slices, express, batches):
    ours = slices["buzon"]
    if batches.label in slices:
        yield verdict(f"{connections} connections, against the batch limit", ratios(ours, slices[batches.label]), 0.5)
    for label in slices:
        if label.startswith("pgbench") and connections >= 64:
            wanted = 0.8 if connections == 256 and "64" in label else None
            yield verdict(f"{connections} connections, against {label}", ratios(ours, slices[label]), wanted)
    if express and connections in (64, 256):
        wanted = {("postgres", 64): 4, ("postgres", 256): 6, ("sqlite", 64): 5, ("sqlite", 256): 7}
        times = ratios(ours, slices[express.label])
        yield verdict(f"{connections} connections, against {express.label}", times, wanted[database.name, connections])
    if express and Repeats.label in slices:
        times = ratios(slices[Repeats.label], slices[express.label])
        yield verdict(f"{connections} connections, repeats alone against {express.label}", times)
    if connections == 1:
        times = ratios(ours, slices["one event, without HTTP"], "p50_ms")
        yield verdict("p50 of one connection, against no HTTP", times, at_most=1.5)
    if connections == 256:
        yield verdict("peak MB at 256 connections", [max(it["peak_mb"] for it in ours)], at_most=100)


def open_loop(buzon, options, rate=300):
    command = [DRIVER, "pace", buzon.url, buzon.next, rate, "--seconds", options.pace_seconds]
    said = json.loads(machine.output(command))
    buzon.next += rate * options.pace_seconds
    if said["failed"]:
        raise RuntimeError(f"{said['failed']} of {said['events']} events at {rate}/s were refused")
    return said
