"""Processes, and what the machine says of them."""

import os
import platform
import shutil
import signal
import subprocess
import threading
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# Of the machine, in MB.
MEMORY = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20

# In the order in which they were started.
_running = []


def stop_all():
    """Stops what still runs, the latest first."""
    while _running:
        _running[-1].stop()


class Process:
    """A program that runs until it is stopped. Its log goes to a file."""

    def __init__(self, command, log, environment=None, stdin=None):
        path = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/")}
        self._log = Path(log)
        with self._log.open("ab") as out:
            self._popen = subprocess.Popen(
                command, env={**path, **(environment or {})}, stdin=stdin, stdout=subprocess.PIPE, stderr=out, text=True
            )
        self.pid = self._popen.pid
        _running.append(self)

    def line(self, wanted=lambda line: True):
        """The first line of its output that is wanted. The rest is read and thrown away."""
        for line in self._popen.stdout:
            if wanted(line):
                threading.Thread(target=self._popen.stdout.read, daemon=True).start()
                return line.strip()
        raise RuntimeError(f"{self._popen.args[0]} did not start: {self._log.read_text()[-600:]}")

    def stop(self):
        """Ends it: by the end of its input, where it reads one."""
        _running.remove(self)
        if self._popen.stdin:
            self._popen.stdin.close()
        else:
            self._popen.send_signal(signal.SIGTERM)
        try:
            self._popen.wait(15)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()


def output(command, **options):
    """What a program prints."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr[-600:]}")
    return done.stdout


def _stat(pid):
    """The fields of /proc/PID/stat after the name."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pid):
    """What a process has used, with its children, those that have ended too."""
    own = _stat(pid)
    ticks = sum(map(int, own[11:15]))
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            ticks += sum(map(int, _stat(child)[11:13]))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return ticks / TICKS


def _status(pid, name):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def peak_memory(pid):
    """In MB, since `forget_peak_memory`."""
    return _status(pid, "VmHWM:")


def memory(pid):
    """In MB, now."""
    return _status(pid, "VmRSS:")


def forget_peak_memory(pid):
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def fdatasync(folder):
    """What pg_test_fsync says of fdatasync of 8 kB on the disk of this folder."""
    bins = [shutil.which("pg_test_fsync"), *sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_test_fsync"), reverse=True)]
    program = next(str(path) for path in bins if path)
    command = ["stdbuf", "-oL", program, "-s", "1", "-f", str(Path(folder) / "fsync")]
    # The first line of fdatasync is that of one write; the other tests are of no use here.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as running:
        line = next((line for line in running.stdout if line.strip().startswith("fdatasync")), "fdatasync  unknown")
        running.send_signal(signal.SIGINT)
    return " ".join(line.split())


def description():
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(":")[2].strip() if models else platform.machine()
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}
