"""What attaching costs steady loops: probes on and off in alternating slices of one run.

    overhead.py HEAPTIDE PACKAGES PYTHON...      as root, on a quiet machine

PACKAGES is a folder with a folder of packages for each version of Python ("3.12"). Prints Markdown.
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
# What attaching and detaching themselves disturb belongs to no slice.
MARGIN = 1.0

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
          f" them before and after.")


def measure(heaptide, python, environ, name):
    seconds = (2 * SLICES + 1) * (SLICE + 3) + 10
    command = [python, FOLDER / "workloads.py", name, str(seconds)]
    target = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environ)
    samples = []
    first = threading.Event()
    threading.Thread(target=collect, args=(target.stdout, samples, first), daemon=True).start()
    first.wait(60)
    attached = []
    for _ in range(SLICES):
        time.sleep(SLICE)
        attached.append(attach(heaptide, target.pid))
    time.sleep(SLICE)
    ends(target)
    return evaluate(samples, attached)


def collect(lines, samples, first):
    for line in lines:
        moment, operations, used, buckets = json.loads(line)
        samples.append((moment, operations, used, buckets))
        first.set()


def attach(heaptide, pid):
    """Attaches for a slice; returns when it measured, what it said it cost, and what it used itself."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.heaptide"
        command = [heaptide, "attach", str(pid), "-q", "-d", f"{SLICE:.0f}s", "-o", path]
        start = time.monotonic()
        use, resident = heaptide_use(command)
        end = time.monotonic()
        measured = report(heaptide, path)["overhead"]["measured_percent"]
    return start, end, measured or 0.0, use, resident


def evaluate(samples, attached):
    ratios, pauses_on, pauses_off = [], collections.Counter(), collections.Counter()
    for start, end, _measured, _use, _resident in attached:
        on = [s for s in samples if start + MARGIN + 0.25 < s[0] <= end - 0.3]
        off = [
            s for s in samples
            if start - SLICE < s[0] <= start or end + MARGIN < s[0] <= end + SLICE
        ]
        ratios.append(rate(on) / rate(off))
        for chosen, pauses in ((on, pauses_on), (off, pauses_off)):
            for sample in chosen:
                pauses.update({int(bucket): count for bucket, count in sample[3].items()})
    return Result(
        statistics.median(ratios),
        slowest(pauses_off),
        slowest(pauses_on),
        statistics.median(measured for _, _, measured, _, _ in attached),
        statistics.median(use for *_, use, _ in attached),
        max(resident for *_, resident in attached),
    )


def rate(samples):
    return statistics.median(operations / used for _, operations, used, _ in samples)


def slowest(pauses, share=0.001):
    """The time in ms that only this share of the operations exceeds; the upper end of its bucket."""
    allowed = sum(pauses.values()) * share
    for bucket in sorted(pauses, reverse=True):
        allowed -= pauses[bucket]
        if allowed < 0:
            return 2 ** ((bucket + 1) / 8) / 1e6
    return math.nan


if __name__ == "__main__":
    main(*sys.argv[1:])
