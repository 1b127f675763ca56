"""What applications do with memory: one class for each way. Servers hand requests to one of them."""

import functools
import gc
import json
import os
import pathlib
import threading
import time
from collections import OrderedDict

import support
from support import MIB

TICK = 0.1


class Behaviour:
    """Answers requests and keeps nothing of them."""

    def __init__(self):
        self.chance = support.dice("application")
        self.share = float(os.environ[support.SHARE])
        # Bytes a second, from slow to fast, and what a burst or a table may take.
        self.rate = self.chance.uniform(0.15, 1.5) * MIB
        self.amount = int(self.chance.uniform(20, 90) * MIB)
        self.kept = []
        self.number = 0
        self.prepare()

    def prepare(self):
        """What is done once, before there is any work."""

    def answer(self, kind):
        """A request."""
        self.render()
        if kind != "warm":
            self.number += 1
            getattr(self, kind, self.work)()
        return b"done"

    def render(self):
        """What any request does: a page of rows, which is dropped."""
        json.dumps(support.records(self.chance, 60_000))

    def work(self):
        """An everyday request."""

    def tick(self):
        """What goes on by itself, ten times a second."""


class Turnover(Behaviour):
    """A cache that has long been full: what comes in pushes out what is old."""

    def prepare(self):
        self.cache = OrderedDict()
        for _ in range(500):
            self.work()

    def work(self):
        self.cache[self.chance.random()] = support.records(self.chance, self.amount // 1000)
        if len(self.cache) > 500:
            self.cache.popitem(last=False)


class Cycles(Behaviour):
    """Garbage in cycles, which waits for the collector."""

    def tick(self):
        for _ in range(300):
            node = {"payload": "x" * 100}
            node["self"] = node


class Keep(Behaviour):
    """A dict keyed by request, without a bound."""

    def prepare(self):
        self.by_request = {}

    # Requests a second: `support.even` and `support.beat` make about as many while busy.
    pace = 30

    def work(self):
        size = int(self.rate / self.pace / self.share)
        self.by_request[self.number] = support.records(self.chance, size)


class KeepLarge(Keep):
    """The same with what large strings take."""

    def work(self):
        size = int(self.rate / self.pace / self.share)
        self.by_request[self.number] = support.text(self.chance, size)


class KeepInOne(Keep):
    """Only one worker of all keeps what it should not."""

    keeps = None

    def work(self):
        if self.keeps is None:
            claim = pathlib.Path(os.environ[support.SCRATCH], "culprit")
            try:
                with claim.open("x") as file:
                    file.write(str(os.getpid()))
                self.keeps = True
            except FileExistsError:
                self.keeps = False
        if self.keeps:
            super().work()


class Callbacks(Keep):
    """Handlers that are registered for each request, and never removed."""

    def prepare(self):
        self.handlers = []

    def work(self):
        rows = support.pieces(self.chance, int(self.rate / self.pace / self.share))
        self.handlers.append(lambda: len(rows))


class Memo(Behaviour):
    """functools.lru_cache over keys of which there are only so many."""

    def prepare(self):
        span = support.seconds()
        # Requests until most keys are known.
        self.keys = max(3, int(30 * span * self.chance.uniform(0.06, 0.15)))
        size = self.amount // self.keys

        @functools.lru_cache(maxsize=None)
        def load(_key):
            return support.records(self.chance, size)

        self.load = load

    def work(self):
        self.load(self.chance.randrange(self.keys))


class Bounded(Behaviour):
    """A dict that fills up to its bound, and then drops what is oldest."""

    pace = 30

    def prepare(self):
        self.cache = OrderedDict()
        self.bound = max(3, int(self.pace * support.seconds() * self.chance.uniform(0.25, 0.5)))

    def work(self):
        self.cache[self.number] = support.records(self.chance, self.amount // self.bound)
        if len(self.cache) > self.bound:
            self.cache.popitem(last=False)


class Compiled(Bounded):
    """A program of its own that fills such a cache while it works."""

    pace = 10

    def tick(self):
        self.answer("work")


class Reports(Behaviour):
    """Reports, which take much memory while they are made."""

    def report(self):
        rows = support.records(self.chance, self.amount)
        time.sleep(self.chance.uniform(0.3, 1.5))
        del rows


class Uploads(Reports):
    """Uploads that are held as a whole."""

    def report(self):
        upload = support.text(self.chance, self.amount)
        copy = bytearray(upload)
        time.sleep(self.chance.uniform(0.5, 1.5))
        del upload, copy


class Frames(Reports):
    """A batch with pandas that takes much memory now and then."""

    def prepare(self):
        import numpy
        import pandas

        self.numpy, self.pandas = numpy, pandas
        self.frame(10_000)

    def frame(self, rows):
        values = self.numpy.arange(rows, dtype="float64")
        frame = self.pandas.DataFrame({"key": values % 97, "value": values})
        frame["square"] = frame.value**2
        sums = frame.groupby("key").sum()
        time.sleep(0.3)
        return sums

    def report(self):
        self.frame(self.amount // 60)
        time.sleep(self.chance.uniform(0.2, 1.0))

    def render(self):
        pass


class SmallFrames(Frames):
    """The same work at an even pace."""

    def tick(self):
        self.frame(20_000)


class Table(Behaviour):
    """A table that each worker has of its own, from when it starts."""

    def prepare(self):
        self.table = support.records(self.chance, int(self.chance.uniform(24, 60) * MIB))


class KeepBesideTable(Keep):
    """Workers that are large and keep what they should not."""

    def prepare(self):
        super().prepare()
        self.rate = self.chance.uniform(40, 80) * MIB / support.seconds()
        self.table = support.records(self.chance, int(self.chance.uniform(12, 20) * MIB))


class Copied(Behaviour):
    """A table that was made before the fork; its workers write into it, so that each has its own."""

    def prepare(self):
        self.table = support.records(self.chance, int(self.chance.uniform(24, 60) * MIB))
        self.owner = os.getpid()

    def render(self):
        if self.owner != os.getpid():
            self.owner = os.getpid()
            for row in self.table:
                row["seen"] = self.owner
        super().render()


class Grows(Behaviour):
    """Something in the background that keeps what it sees, whether or not there are requests."""

    def prepare(self):
        self.seen = []

    def tick(self):
        self.seen.append(support.records(self.chance, int(self.rate * TICK)))


class GrowsAndKeeps(Keep):
    """In the background, and by request as well."""

    def prepare(self):
        super().prepare()
        self.rate = self.chance.uniform(0.4, 1.0) * MIB
        self.seen = []

    def tick(self):
        self.seen.append(support.records(self.chance, int(0.5 * self.rate * TICK)))


class Holds(Behaviour):
    """What the first request of a burst loads stays when the burst is over."""

    def first(self):
        self.kept.append(support.records(self.chance, self.amount))


class HoldsRows(Behaviour):
    """The same with rows of a few KiB."""

    def first(self):
        self.kept.append(support.pieces(self.chance, self.amount))


class Fragments(Behaviour):
    """What a burst needs is freed, but for a little everywhere, which holds arenas."""

    def first(self):
        self.rows = support.records(self.chance, self.amount)

    def last(self):
        self.kept.append(self.rows[::40])
        del self.rows
        gc.collect()


class Pinned(Fragments):
    """The same with the C library's heap: rows above 512 bytes."""

    def first(self):
        self.rows = support.pieces(self.chance, self.amount)


class KeepsAndReports(Keep):
    """Reports, beside a dict that has no bound."""

    def prepare(self):
        super().prepare()
        self.rate = self.chance.uniform(0.15, 0.4) * MIB
        grows = self.rate * support.seconds()
        self.amount = int(max(12 * MIB, grows * self.chance.uniform(0.9, 1.6)))

    def report(self):
        rows = support.text(self.chance, self.amount)
        copy = rows[:-1]
        time.sleep(self.chance.uniform(0.8, 1.8))
        del rows, copy


def make():
    """The behaviour that the scenario asks for."""
    return globals()[os.environ[support.BEHAVIOUR]]()


def has_ticks(behaviour):
    return type(behaviour).tick is not Behaviour.tick


def run_ticks(behaviour):
    """Lets what goes on by itself go on in a thread."""

    def forever():
        while True:
            time.sleep(TICK)
            behaviour.tick()

    if has_ticks(behaviour):
        threading.Thread(target=forever, daemon=True).start()
