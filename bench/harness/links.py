"""Links: what the events that arrive feel while a person's messages move to another conversation."""

import json
import os
import statistics
import time

import machine
import report
from ingest import open_loop
from report import number, verdict
from subjects import DRIVER, SECRET, Buzon

PERSON, NUMBER = "176369157804064@lid", "573001112233"
# The greatest p99 that a move may add, in milliseconds.
MOST_ADDED = 50
# The slices before the move.
SLICES = 5


def run(database, folder, options):
    database.create("links")
    command = [DRIVER, "batches", database.url("links"), "0", "--one-person", "--count", str(options.moved)]
    recorded = json.loads(machine.output(command))["events"]
    database.settle("links")
    disk = machine.fdatasync(folder)
    buzon = Buzon(database, "links", folder, first=recorded)
    moves = lambda: int(database.sql("links", "SELECT count(*) FROM chat_moves"))
    open_loop(buzon, options)
    before = [open_loop(buzon, options)["latency"] for _ in range(SLICES)]
    environment = {**os.environ, "BUZON_DATABASE_URL": database.url("links"), "BUZON_DATA_DIR": f"{folder}/links-data"}
    linked = [os.environ["BENCH_BUZON"], "contact", "link", "1001", PERSON, NUMBER]
    print(machine.output(linked, env={**environment, "BUZON_WEBHOOK_SECRET": SECRET}).strip())
    began, during = time.perf_counter(), []
    # The first slice begins with the move, and the last one ends after it.
    while moves() > 0 or not during:
        during.append(open_loop(buzon, options)["latency"])
    seconds = time.perf_counter() - began
    moved = database.sql("links", f"SELECT max(message_count) FROM chats WHERE chat_id LIKE '{NUMBER}%'").strip()
    buzon.stop()
    print(f"\n{database.version()}: {moved} messages moved within {number(seconds)} s, at 300 events/s meanwhile")
    usual = statistics.median(it["p99_ms"] for it in before)
    added = [it["p99_ms"] - usual for it in during]
    verdicts = [verdict("p99 at 300 events/s, open loop, that a move adds, ms", added, at_most=MOST_ADDED)]
    report.targets(f"Targets, links, {database.version()}", verdicts, disk)
    return {"before": before, "during": during, "moved": moved, "targets": verdicts, "disk": disk}
