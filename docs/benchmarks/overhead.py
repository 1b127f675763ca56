"""What attaching costs steady loops: probes on and off in alternating slices of one run.

    overhead.py HEAPTIDE PACKAGES PYTHON...      as root, on a quiet machine

PACKAGES is a folder with a folder of packages for each version of Python ("3.12"). Prints Markdown.

Virtual processors change their pace by half within a second, so a slice is compared with more than the slices before and after
it: a twin, which nothing is attached to, does the same on the same processor in turn with the target, a few milliseconds each.
By how much the target's pace differs from its twin's is what counts, times what heaptide leaves both of the processor: it works in
the target's place while it opens and closes windows. How long operations take is measured before the twin comes.
"""

import collections
import json
import math
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from common import environment, ends, heaptide_use, report, version
from workloads import WORKLOADS

FOLDER = pathlib.Path(__file__).parent
SLICE = float(os.environ.get("SLICE", 8))
SLICES = int(os.environ.get("SLICES", 3))
# Seconds that attaching and detaching take, and disturb the target.
MARGIN = 1.0
DETACHING = 0.3
# Seconds that a sample of a workload lasts.
SAMPLE = 0.25

Result = collections.namedtuple("Result", "ratio pause_off pause_on measured use resident")


def main(heaptide, packages, *pythons):
    print("| interpreter | workload | operations per processor second, on / off | slowest 0.1 % of operations, off → on |"
          " measured by heaptide | heaptide's own use |")
    print("|---|---|---|---|---|---|")
    everything = []
    for python in pythons:
        for workload in WORKLOADS:
            name = workload.__name__
            result = measure(heaptide, python, environment(python, packages), name)
            everything.append(result)
            print(f"| {version(python)} | {name.replace('_', ' ')} | {result.ratio:.3f}"
                  f" | {result.pause_off:.2f} → {result.pause_on:.2f} ms | {result.measured:.2f} %"
                  f" | {result.use:.1f} % of a core, {result.resident:.0f} MB |", flush=True)
    slowdowns = [1 / result.ratio for result in everything]
    print()
    print(f"Slowdown: geometric mean {statistics.geometric_mean(slowdowns):.3f}, worst {max(slowdowns):.3f}."
          f" Each ratio is the median over {SLICES} slices of {SLICE:.0f} s with the probes and the slices without"
          f" them before and after, each against the twin's.")


def measure(heaptide, python, environ, name):
    command = [python, FOLDER / "workloads.py", name, "3600"]
    target = Loop(command, environ)
    twin = None
    try:
        time.sleep(SLICE)
        alone = attach(heaptide, target.pid)
        slowest = [target.slowest(alone.start - SLICE, alone.start), target.slowest(*alone.steady())]
        twin = Loop(command, environ)
        off, attached = [idle()], []
        for _ in range(SLICES):
            attached.append(attach(heaptide, target.pid))
            time.sleep(MARGIN)
            off.append(idle())
        between = [(before, on.steady(), after) for before, on, after in zip(off, attached, off[1:])]
        ratios = [compare(target, twin, *spans) for spans in between]
    finally:
        for loop in filter(None, (target, twin)):
            ends(loop.process)
    return Result(
        statistics.median(ratios),
        *slowest,
        statistics.median(each.measured for each in attached),
        alone.use,
        max(each.resident for each in (alone, *attached)),
    )


class Loop:
    """A workload that runs, on the last processor, and the samples that it has told so far."""

    def __init__(self, command, environ):
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
        self.pid = self.process.pid
        os.sched_setaffinity(self.pid, {max(os.sched_getaffinity(0))})
        self.samples = []
        first = threading.Event()
        threading.Thread(target=collect, args=(self.process.stdout, self.samples, first), daemon=True).start()
        first.wait(60)

    def between(self, start, end):
        return [sample for sample in self.samples if start + SAMPLE < sample[0] <= end]

    def rate(self, start, end):
        """Operations per second of processor time."""
        samples = self.between(start, end)
        return sum(operations for _, operations, *_ in samples) / sum(used for _, _, used, _ in samples)

    def share(self, start, end):
        """The part of its processor that it had."""
        samples = self.between(start, end)
        return sum(used for _, _, used, _ in samples[1:]) / (samples[-1][0] - samples[0][0])

    def slowest(self, start, end, share=0.001):
        """The time in ms that only this share of the operations exceeds; the upper end of its bucket."""
        pauses = collections.Counter()
        for sample in self.between(start, end):
            pauses.update({int(bucket): count for bucket, count in sample[3].items()})
        allowed = sum(pauses.values()) * share
        for bucket in sorted(pauses, reverse=True):
            allowed -= pauses[bucket]
            if allowed < 0:
                return 2 ** ((bucket + 1) / 8) / 1e6
        return math.nan


def compare(target, twin, before, on, after):
    """How fast the target was while attached, against before and after, each against its twin."""
    def pace(span):
        return target.rate(*span) / twin.rate(*span) * (target.share(*span) + twin.share(*span))
    return pace(on) / statistics.geometric_mean(pace(span) for span in (before, after))


def idle():
    """A slice in which nothing is attached; returns from when to when."""
    start = time.monotonic()
    time.sleep(SLICE)
    return start, time.monotonic()


def collect(lines, samples, first):
    for line in lines:
        moment, operations, used, buckets = json.loads(line)
        samples.append((moment, operations, used, buckets))
        first.set()


def attach(heaptide, pid):
    """Attaches for a slice."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.heaptide"
        command = [heaptide, "attach", str(pid), "-q", "-d", f"{SLICE:.0f}s", "-o", path]
        start = time.monotonic()
        use, resident = heaptide_use(command)
        end = time.monotonic()
        measured = report(heaptide, path)["overhead"]["measured_percent"]
    return Attached(start, end, measured or 0.0, use, resident)


class Attached(collections.namedtuple("Attached", "start end measured use resident")):
    """When heaptide was attached, what it said it cost in percent, and what it used itself."""

    def steady(self):
        """When it measured: what attaching and detaching themselves disturb is in no slice."""
        end = self.end - DETACHING
        return max(self.start + MARGIN, end - SLICE), end


if __name__ == "__main__":
    main(*sys.argv[1:])
