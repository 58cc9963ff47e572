"""The benchmark's parts, one after the other. `bench/run` sets the world up."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from pathlib import Path

PARTS = ["ingest", "size", "media", "start"]
# Only where it is named.
BESIDES = ["costs", "cells", "forwards", "links"]
DATABASES = ["postgres", "sqlite"]


def arguments():
    about = "Measures buzon beside what a user would pick instead; bench/README.md says how to read it."
    parser = argparse.ArgumentParser(prog="bench/run", description=about)
    chosen, besides = ", ".join([*PARTS, *BESIDES, *DATABASES]), ", ".join(BESIDES)
    parser.add_argument("chosen", nargs="*", metavar="WHAT", help=f"{chosen}; all but {besides} if none is named")
    parser.add_argument("--connections", default="1,16,64,256", help="how many in the closed loops (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="slices of each subject (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=3, help="of a slice (default: %(default)s)")
    parser.add_argument("--messages", type=int, default=300_000, help="in the database at size (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help="10 million messages on PostgreSQL, 2 million on SQLite")
    parser.add_argument("--quick", action="store_true", help="only check that the benchmark works")
    options = parser.parse_intermixed_args()
    unknown = set(options.chosen) - {*PARTS, *BESIDES, *DATABASES}
    if unknown:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    options.connections = [int(count) for count in options.connections.split(",")]
    return options


def complete(options):
    """What the sizes of the parts follow from."""
    options.messages = dict.fromkeys(DATABASES, options.messages)
    options.pace_seconds, options.starts, options.questions = 20, 10, 100
    options.files, options.backlog, options.moved = [(20_000, 2_000), (100_000_000, 8)], 30_000, 100_000
    if options.full:
        options.messages = {"postgres": 10_000_000, "sqlite": 2_000_000}
    if options.quick:
        options.connections, options.rounds, options.seconds = [16], 1, 1
        options.messages = dict.fromkeys(DATABASES, 2_000)
        options.pace_seconds, options.starts, options.questions = 1, 1, 3
        options.files, options.backlog, options.moved = [(20_000, 20)], 300, 2_000


def main():
    options = arguments()
    complete(options)
    import cells
    import costs
    import databases
    import forwards
    import ingest
    import links
    import machine
    import media
    import size
    import start

    # So that what was started is stopped then too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    modules = [ingest, size, media, start, costs, cells, forwards, links]
    parts = {it.__name__: it for it in modules}
    kinds = {"postgres": databases.Postgres, "sqlite": databases.Sqlite}
    results = {"machine": machine.description(), "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
    print("machine:", ", ".join(f"{key} {value}" for key, value in results["machine"].items()), flush=True)
    for kind in [it for it in DATABASES if it in options.chosen] or DATABASES:
        for part in [it for it in [*PARTS, *BESIDES] if it in options.chosen] or PARTS:
            # The server of PostgreSQL is another user's, who must get in.
            with tempfile.TemporaryDirectory(prefix="buzon-bench.", dir=os.environ.get("TMPDIR", "/var/tmp")) as folder:
                os.chmod(folder, 0o755)
                try:
                    results[f"{part} {kind}"] = parts[part].run(kinds[kind](folder), folder, options)
                finally:
                    machine.stop_all()
            Path(os.environ["BENCH_RESULTS"]).write_text(json.dumps(results, indent=1, default=str))
    if options.quick:
        print("\nIt works. The figures mean nothing: they are those of a build for development.")
    print(f"\nAll figures: {os.environ['BENCH_RESULTS']}")


main()
