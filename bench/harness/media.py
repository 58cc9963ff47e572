"""Files that are saved in a second, from the event to the row that says so."""

import concurrent.futures
import http.client
import subprocess
import time
import urllib.parse

import machine
import report
from report import number
from subjects import DRIVER, Buzon

PATIENCE = 300


def run(database, folder, options):
    rows, measured = [], {}
    disk = machine.fdatasync(folder)
    for store in ["folder", "bucket"]:
        for size, count in options.files:
            seconds = once(database, folder, store, size, count)
            measured[f"{store}, {size} bytes"] = {"files": count, "seconds": seconds}
            rate, megabytes = count / seconds, count * size / seconds / 1e6
            rows.append([store, f"{size / 1e6:g} MB", count, number(rate), number(megabytes)])
    title = f"Media, {database.version()}; the bucket is s3s-fs in a process of its own"
    report.table(title, ["store", "a file has", "files", "files/s", "MB/s"], rows, disk)
    return {"media": measured, "disk": disk}


def once(database, folder, store, size, count):
    """Seconds from the first event to the last file."""
    name = f"{store}_{size}"
    database.create(name)
    files = machine.Process([DRIVER, "files", str(size)], f"{folder}/files.log", stdin=subprocess.PIPE)
    origin = files.line()
    helpers, settings = [files], {"BUZON_GATEWAY_URL": origin}
    if store == "bucket":
        environment = {"TMPDIR": str(folder)}
        bucket = machine.Process([DRIVER, "bucket"], f"{folder}/bucket.log", environment, stdin=subprocess.PIPE)
        helpers.append(bucket)
        settings.update(setting.split("=", 1) for setting in bucket.line().split("\t"))
    buzon = Buzon(database, name, folder, settings=settings)
    try:
        requests = machine.output([DRIVER, "requests", "0", count, "--files", origin, "--only-files"]).splitlines()
        began = time.perf_counter()
        with concurrent.futures.ThreadPoolExecutor(8) as senders:
            list(senders.map(lambda place: send(buzon.url, requests[place::8]), range(8)))
        wait_for(database, name, count)
        return time.perf_counter() - began
    finally:
        for process in [buzon, *helpers]:
            process.stop()


def send(url, requests):
    connection = http.client.HTTPConnection(urllib.parse.urlparse(url).netloc)
    for request in requests:
        path, signature, body = request.split("\t")
        headers = {"X-Whapi-Signature": signature, "Content-Type": "application/json"}
        connection.request("POST", path, body.encode(), headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"an event was answered {answer.status}")


def wait_for(database, name, count):
    """Until all files are stored. Asks seldom: asking takes from the same machine."""
    deadline = time.perf_counter() + PATIENCE
    while int(database.sql(name, "SELECT count(*) FROM media WHERE state = 'stored'")) < count:
        if time.perf_counter() > deadline:
            states = database.sql(name, "SELECT state, reason, count(*) FROM media GROUP BY state, reason")
            raise RuntimeError(f"not all files were saved: {states}")
        time.sleep(0.2)
