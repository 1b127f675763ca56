"""What the scenarios share: seeds, what memory is made of, load that ends by itself, servers."""

import concurrent.futures
import http.client
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
MIB = 1 << 20

# What a scenario tells the programs that it starts.
NAME, SEED, SECONDS, SCRATCH = "SCENARIO", "SCENARIO_SEED", "SCENARIO_SECONDS", "SCENARIO_SCRATCH"
BEHAVIOUR, BROKER = "SCENARIO_BEHAVIOUR", "SCENARIO_BROKER"
SHARE, WORKERS = "SCENARIO_SHARE", "SCENARIO_WORKERS"

# Seconds that a request or a start may take on a busy machine.
PATIENCE = 60


def seconds():
    """How long the scenario takes."""
    return float(os.environ[SECONDS])


def dice(what):
    """Chance that is the same for the same scenario, seed and purpose."""
    return random.Random(f"{os.environ[NAME]}/{os.environ[SEED]}/{what}")


def records(chance, size):
    """About so many bytes of small objects: dicts with texts and numbers."""
    return [
        {"id": chance.random(), "name": f"customer {number:40}", "tags": [number, -number]}
        for number in range(max(1, size // 500))
    ]


def text(chance, size):
    """So many bytes in one block."""
    return chance.randbytes(8) + bytes(max(0, size - 8))


def pieces(chance, size):
    """About so many bytes in blocks of a few KiB, as rows from a database are."""
    made = []
    while size > 0:
        made.append(bytearray(chance.randrange(600, 4000)))
        size -= len(made[-1])
    return made


# ---- Load: a list of (second, what), made in advance, so that it ends by itself.


def even(chance, span, rate=30.0, kind="work"):
    """Requests at an even rate."""
    count = int(span * rate)
    return [(span * (number + chance.random()) / count, kind) for number in range(count)]


def beat(chance, span, rate=40.0, kind="work"):
    """Two to three and a half busy phases, and nothing between them."""
    period = span / chance.uniform(2.0, 3.5)
    busy, shift = chance.uniform(0.35, 0.65), chance.random()
    return [it for it in even(chance, span, rate, kind) if (it[0] / period + shift) % 1 < busy]


def burst(chance, span, rate=40.0, kind="work"):
    """One busy phase, which something may begin and end."""
    start, end = span * chance.uniform(0.12, 0.3), span * chance.uniform(0.4, 0.6)
    busy = [(at, what) for at, what in even(chance, span, rate, kind) if start < at < end]
    return [(start, "first"), *busy, (end, "last")]


def sometimes(chance, span, kind="report"):
    """Four to eight pieces of work of another kind."""
    gap = span / chance.uniform(4.5, 8.0)
    count = int(span / gap)
    return [(gap * (number + chance.uniform(0.35, 0.6)), kind) for number in range(count)]


def play(events, do):
    """Does what is due, at its time; what takes long does not hold up what is next."""
    began = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for at, what in sorted(events):
            time.sleep(max(0.0, began + at - time.monotonic()))
            pool.submit(do, what)


# ---- Servers.


def tree(pid):
    """A process and all its descendants."""
    found = [pid]
    for one in found:
        try:
            children = pathlib.Path(f"/proc/{one}/task").glob("*/children")
            found += [int(child) for file in children for child in file.read_text().split()]
        except OSError:
            pass  # It has ended.
    return found


class Server:
    """A program under load."""

    def __init__(self, arguments, **options):
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=HERE,
            stdin=options.pop("stdin", subprocess.DEVNULL),
            stdout=options.pop("stdout", 2),
            **options,
        )
        self.pid = self.process.pid

    def do(self, what):
        """One request, or an order to the server."""

    def end(self):
        """Ends it and all its children."""
        for pid in tree(self.pid):
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()


class Web(Server):
    """A server that listens where this process already does, so that no port is guessed."""

    def __init__(self, arguments):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self.listener.getsockname()[1]
        fd = self.listener.fileno()
        told = [argument.format(fd=fd) for argument in arguments]
        super().__init__(told, pass_fds=[fd])
        self.get("warm")

    def get(self, what):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request("GET", f"/{what}")
            return connection.getresponse().read()
        finally:
            connection.close()

    def do(self, what):
        if what == "worker":
            os.kill(self.pid, signal.SIGTTIN)
            return
        try:
            self.get(what)
        except (OSError, http.client.HTTPException):
            pass  # A server that is ended does not answer.


def gunicorn(application, workers=1, *options):
    command = ["-m", "gunicorn", application, "--bind", "fd://{fd}", "--workers", str(workers)]
    # A worker that a busy machine holds up is not to be replaced.
    return Web([*command, "--log-level", "error", "--timeout", "300", *options])


def uvicorn(application):
    return Web(["-m", "uvicorn", application, "--fd", "{fd}", "--log-level", "error"])


class Celery(Server):
    """A worker of Celery, with a Redis of its own."""

    def __init__(self, concurrency=1):
        with socket.create_server(("127.0.0.1", 0)) as found:
            port = found.getsockname()[1]
        command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
        self.redis = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        os.environ[BROKER] = f"redis://127.0.0.1:{port}/0"
        import celery_app

        self.app = celery_app.app
        command = ["-m", "celery", "-A", "celery_app", "worker", "--loglevel", "error"]
        quiet = ["--without-gossip", "--without-mingle"]
        super().__init__([*command, "--concurrency", str(concurrency), *quiet])
        until = time.monotonic() + PATIENCE
        while not self.app.control.ping(timeout=0.5) and time.monotonic() < until:
            pass
        for _ in range(4 * concurrency):
            self.do("warm")

    def do(self, what):
        if what == "worker":
            self.app.control.pool_grow(1)
        else:
            self.app.send_task("job", [what], ignore_result=True)

    def end(self):
        super().end()
        self.redis.kill()
        self.redis.wait()


class Script(Server):
    """A program without a server: it begins when it is told to."""

    def __init__(self, program="script.py"):
        super().__init__([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.process.stdout.readline()

    def do(self, what):
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
