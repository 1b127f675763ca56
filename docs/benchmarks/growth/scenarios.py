"""Labelled scenarios: real servers under load that ends by itself, whose kind of growth is known.

    python scenarios.py                       lists them: name, tab, pattern
    python scenarios.py NAME SEED SECONDS     runs one

A run says `ready`, and on the next line the pid to attach to. It waits for a line, plays its load for
so many seconds, and says `done`, with the pid of the one process that is to blame if there is one. It
ends when its standard input does, or by SIGTERM. The seed varies sizes, rates and phases.
"""

import os
import pathlib
import shutil
import signal
import sys
import tempfile

import support
from support import Celery, Script, Web, beat, burst, even, gunicorn, sometimes, uvicorn


def both(*loads):
    return lambda chance, span: [it for load in loads for it in load(chance, span)]


def nothing(_chance, _span):
    return []


def slow(chance, span):
    return even(chance, span, rate=8.0)


def many(chance, span):
    return even(chance, span, rate=40.0)


def starts(count):
    """Some workers start, one after the other."""

    def load(chance, span):
        at = span * chance.uniform(0.3, 0.6)
        return slow(chance, span) + [(at + 0.4 * number, "worker") for number in range(count)]

    return load


def flask(workers=1, *options):
    return lambda: gunicorn("flask_app:app", workers, *options)


def django(workers=1, *options):
    return lambda: gunicorn("django_app:app", workers, *options)


def asgi():
    return uvicorn("asgi_app:app")


def plain():
    return Web(["plain_app.py", "{fd}"])


def pool(workers):
    os.environ[support.WORKERS] = str(workers)
    return Script("pool.py")


def loop():
    return Script("loop.py")


# Pattern, name, what runs, how it behaves, its load.
SCENARIOS = [
    ("steady", "steady-flask", flask(), "Behaviour", beat),
    ("steady", "steady-flask-threads", flask(1, "--threads", "4"), "Turnover", even),
    ("steady", "steady-django-two-workers", django(2), "Behaviour", even),
    ("steady", "steady-uvicorn-full-cache", asgi, "Turnover", beat),
    ("steady", "steady-uvicorn", asgi, "Behaviour", even),
    ("steady", "steady-celery", Celery, "Behaviour", slow),
    ("steady", "steady-garbage-in-cycles", Script, "Cycles", nothing),
    ("steady", "steady-pandas", Script, "SmallFrames", nothing),
    ("steady", "steady-idle", plain, "Behaviour", nothing),
    ("retained-growth", "leak-one-of-eight", flask(8), "KeepInOne", many),
    ("retained-growth", "leak-flask-dict", flask(), "Keep", even),
    ("retained-growth", "leak-django-preloaded", django(2, "--preload"), "KeepLarge", even),
    ("retained-growth", "leak-uvicorn-callbacks", asgi, "Callbacks", even),
    ("retained-growth", "leak-celery", Celery, "Keep", even),
    ("traffic-growth", "requests-flask", flask(), "Keep", beat),
    ("traffic-growth", "requests-django-two-workers", django(2), "Keep", beat),
    ("traffic-growth", "requests-uvicorn", asgi, "KeepLarge", beat),
    ("traffic-growth", "requests-plain", plain, "Callbacks", beat),
    ("cache-fill", "cache-flask-memo", flask(), "Memo", even),
    ("cache-fill", "cache-django-bounded", django(), "Bounded", even),
    ("cache-fill", "cache-uvicorn-memo", asgi, "Memo", even),
    ("cache-fill", "cache-script", Script, "Compiled", nothing),
    ("payload-spikes", "spikes-celery-job-type", Celery, "Reports", both(slow, sometimes)),
    ("payload-spikes", "spikes-pandas-batch", Script, "Frames", sometimes),
    ("payload-spikes", "spikes-flask-uploads", flask(), "Uploads", both(even, sometimes)),
    ("payload-spikes", "spikes-uvicorn-reports", asgi, "Reports", both(even, sometimes)),
    ("worker-duplication", "workers-flask", flask(4), "Table", even),
    ("worker-duplication", "workers-django", django(3), "Table", even),
    ("worker-duplication", "workers-written", flask(4, "--preload"), "Copied", even),
    ("worker-duplication", "workers-forked", lambda: pool(4), "Table", nothing),
    ("worker-count-step", "step-flask-2-to-8", flask(2), "Table", starts(6)),
    ("worker-count-step", "step-django-preloaded", django(2, "--preload"), "Table", starts(4)),
    ("worker-count-step", "step-celery-grows", lambda: Celery(2), "Table", starts(3)),
    ("worker-count-step", "step-forked", lambda: pool(2), "Table", starts(4)),
    ("idle-growth", "idle-loop", loop, "Grows", nothing),
    ("idle-growth", "idle-uvicorn-task", asgi, "Grows", beat),
    ("idle-growth", "idle-flask-thread", flask(), "Grows", beat),
    ("idle-growth", "idle-plain-thread", plain, "Grows", burst),
    ("idle-retention", "holds-flask", flask(), "Holds", burst),
    ("idle-retention", "holds-uvicorn", asgi, "HoldsRows", burst),
    ("idle-retention", "holds-plain", plain, "Holds", burst),
    ("allocator-retention", "fragments-flask", flask(), "Fragments", burst),
    ("allocator-retention", "fragments-uvicorn", asgi, "Fragments", burst),
    ("allocator-retention", "fragments-libc-flask", flask(), "Pinned", burst),
    ("allocator-retention", "fragments-libc-plain", plain, "Pinned", burst),
    ("mixed", "mixed-leak-and-reports-flask", flask(), "KeepsAndReports", both(even, sometimes)),
    ("mixed", "mixed-leak-and-reports-celery", Celery, "KeepsAndReports", both(even, sometimes)),
    ("mixed", "mixed-idle-and-requests", asgi, "GrowsAndKeeps", beat),
    ("mixed", "mixed-step-and-leak", flask(2), "KeepBesideTable", both(even, starts(2))),
]

# Where one worker of many gets the requests that count.
SHARES = {"leak-one-of-eight": 0.19}


def run(name, seed, span):
    """Runs a scenario; whatever ends this program ends what it has started, too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    [(_, _, start, behaviour, load)] = [it for it in SCENARIOS if it[1] == name]
    scratch = tempfile.mkdtemp(prefix="heaptide-scenario-")
    os.environ.update({
        support.NAME: name,
        support.SEED: seed,
        support.SECONDS: span,
        support.SCRATCH: scratch,
        support.BEHAVIOUR: behaviour,
        support.SHARE: str(SHARES.get(name, 1)),
        "PYTHONDONTWRITEBYTECODE": "1",
    })
    server = None
    try:
        server = start()
        print(f"ready\n{server.pid}", flush=True)
        if not sys.stdin.readline():
            return
        if isinstance(server, Script):
            server.do("begin")
        support.play(load(support.dice("load"), float(span)), server.do)
        culprit = pathlib.Path(scratch, "culprit")
        print("done", culprit.read_text() if culprit.exists() else "", flush=True)
        sys.stdin.read()
    finally:
        if server is not None:
            server.end()
        shutil.rmtree(scratch)


def main(arguments):
    if not arguments:
        for pattern, name, *_ in SCENARIOS:
            print(f"{name}\t{pattern}")
        return
    run(*arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
