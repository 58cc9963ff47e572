"""What becomes of it all when there is much: ingest against an empty database, the queries of the read API, the start."""

import http.client
import json
import math
import random
import subprocess
import time
import urllib.parse

import ingest
import machine
import report
import start
from databases import load, record
from report import number, ratios, verdict
from subjects import DRIVER, TOKEN, Buzon

# Of 1,000 events, so many are a message's first copy.
MESSAGES_IN_A_THOUSAND = 760
# Of more than these, tests/size leaves the bodies of the events that it loads out of the ledger.
WITH_BODIES = 2_000_000
# After a load, the first events find hardly a page of the indexes in memory; in service, they have been there for long.
WARMING = 60_000
# Questions are about the messages of so many pages, from the first to the last.
PAGES = 50


def run(database, folder, options):
    """Fills a database, and compares it with an empty one."""
    messages = options.messages[database.name]
    if options.full:
        seconds, recorded = load(database, "large", messages), 0
    else:
        database.create("large")
        done = record(database, "large", messages * 1_000 // MESSAGES_IN_A_THOUSAND)
        database.settle("large")
        seconds, recorded = done["seconds"], done["events"]
    print(f"\n{database.name}: {messages:,} messages are there after {seconds:.0f} s", flush=True)
    size = database.bytes("large")
    if options.full:
        done = record(database, "large", WARMING)
        recorded = done["events"]
        each = done["seconds"] / recorded * 1_000_000
        print(f"\nBatches of the first {recorded:,} events took {each:.0f} µs for each event", flush=True)
    large = Buzon(database, "large", folder, first=recorded)
    disk = machine.fdatasync(folder)
    verdicts, table, measured = [], [], {}
    for connections in options.connections:
        name = f"small{connections}"
        database.create(name)
        small = Buzon(database, name, folder)
        competing = [
            ("at size", lambda seconds: large.slice(connections, seconds)),
            ("empty", lambda seconds: small.slice(connections, seconds)),
        ]
        slices = ingest.rounds(database, competing, options.rounds, options.seconds)
        small.stop()
        measured[connections] = slices
        table.extend(ingest.rows(connections, slices, "at size"))
        what = f"{connections} connections, {messages:,} messages against empty"
        wanted = 0.7 if connections == max(options.connections) else None
        verdicts.append(verdict(what, ratios(slices["at size"], slices["empty"]), wanted))
    pace = ingest.open_loop(large, options)
    verdicts.append(verdict("p99 at 300 events/s, open loop, ms", [pace["latency"]["p99_ms"]], at_most=50))
    head = [*ingest.HEAD[:3], "at size is", *ingest.HEAD[4:]]
    title = f"{database.version()}, {messages:,} messages"
    report.table(f"Ingest, {title}", head, table, disk)
    without = " (without the events' own bytes)" if options.full and messages > WITH_BODIES else ""
    print(f"\n{number(size / messages)} bytes on disk for a message and its events{without}. 300 events/s, open loop: {pace['latency']}")
    reading = reads(large, options, title, disk)
    large.stop()
    starts = start.times(database, "large", folder, options.starts)
    verdicts.append(verdict("from exec to the first 200, s", starts, at_most=1))
    report.targets(f"Targets, {title}", verdicts, disk)
    return {
        "messages": messages, "slices": measured, "open_loop": pace, "reads": reading, "starts": starts,
        "bytes_per_message": size / messages, "targets": verdicts, "disk": disk,
    }


def reads(buzon, options, title, disk):
    """Each question alone, and while 1,000 events a second arrive."""
    reader = Reader(buzon.url)
    questions = reader.questions()
    alone = {name: reader.ask(paths, options.questions) for name, paths in questions.items()}
    rate = 1_000 if not options.quick else 100
    pace = [DRIVER, "pace", buzon.url, str(buzon.next), str(rate)]
    with subprocess.Popen(pace, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as load:
        try:
            time.sleep(1)
            beside = {name: reader.ask(paths, options.questions) for name, paths in questions.items()}
            events = json.loads(load.communicate()[0])
        finally:
            load.kill()
    if events["failed"]:
        raise RuntimeError(f"{events['failed']} of {events['events']} events beside the questions were refused")
    rows = [[name, *alone[name].values(), *beside[name].values()] for name in questions]
    head = ["question", "p50 ms", "p99 ms", f"p50 beside {number(events['per_second'])} events/s", "p99 beside them"]
    report.table(f"Read, {title}", head, [[row[0], *(number(it, 1) for it in row[1:])] for row in rows], disk)
    return {"alone": alone, "beside": beside, "events": events}


class Reader:
    """A dashboard that asks one question after the other."""

    def __init__(self, url):
        self._connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc)

    def get(self, path):
        self._connection.request("GET", f"/api/v1{path}", headers={"Authorization": f"Bearer {TOKEN}"})
        answer = self._connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {body[:300]}")
        return body

    def questions(self):
        """Paths by the name of their question, about messages of all times."""
        page = lambda query: json.loads(self.get(f"/messages?{query}"))["data"]
        [first], [last] = ([it["timestamp"] for it in page(f"limit=1&order={order}")] for order in ("asc", "desc"))
        places = [first + (last - first) * place // PAGES for place in range(1, PAGES + 1)]
        messages = [message for until in places for message in page(f"limit=20&until={until}")]
        word = lambda it: urllib.parse.quote((it["body"] or "ma").split(" ")[0])
        feed = json.loads(self.get("/events?after=beginning&limit=200"))["next_after"]
        about = {
            "a message": lambda it: f"/messages/{it['instance_id']}/{it['id']}",
            "a page of a chat": lambda it: f"/chats/{it['instance_id']}/{it['chat_id']}/messages",
            "the chat list": lambda it: "/chats",
            "unanswered chats": lambda it: "/chats?unanswered=true",
            "the first page of all messages": lambda it: "/messages",
            "a page in the past": lambda it: f"/messages?until={it['timestamp'] - 50_000}",
            "messages of a type": lambda it: f"/messages?type={it['type']}",
            "messages with a file": lambda it: "/messages?has_media=true",
            "messages with an ack": lambda it: "/messages?from_me=true&ack=read",
            "search for a word": lambda it: f"/messages?q={word(it)}",
            "search in a chat": lambda it: f"/messages?q={word(it)}&chat_id={it['chat_id']}",
            "the feed": lambda it: f"/events?after={feed}",
            "messages by day, over 30 days": lambda it: f"/stats/messages?by=day&since={last - 2_592_000}&until={last}",
        }
        return {name: [path(it) for it in messages] for name, path in about.items()}

    def ask(self, paths, count):
        dice, times = random.Random(1), []
        for path in [paths[0], *dice.choices(paths, k=count)]:
            began = time.perf_counter()
            self.get(path)
            times.append((time.perf_counter() - began) * 1_000)
        # The first does not count.
        times = sorted(times[1:])
        rank = lambda percent: times[math.ceil(len(times) * percent / 100) - 1]
        return {"p50_ms": rank(50), "p99_ms": rank(99)}
