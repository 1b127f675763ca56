"""What steady loops are said to allocate for each operation at the default budget, against `--exact`.

    operations.py HEAPTIDE PACKAGES PYTHON...      as root; prints Markdown

PACKAGES is a folder with a folder of packages for each version of Python ("3.12"). What a loop allocates for an operation does
not depend on how fast it runs, so `--exact` tells it, however much that slows it down.
"""

import collections
import os
import subprocess
import sys
import tempfile
import time

from common import ends, environment, report, version
from overhead import Loop
from workloads import WORKLOADS

SECONDS = int(os.environ.get("SECONDS", 12))
EXACT = 5
RUNS = int(os.environ.get("RUNS", 2))
# Seconds after which heaptide measures for sure.
STARTED = 1.5

Allocated = collections.namedtuple("Allocated", "objects size low high")


def main(heaptide, packages, *pythons):
    print("| interpreter | workload | objects, in each run | bytes, in each run | the interval of bytes holds the truth |")
    print("|---|---|---|---|---|")
    for python in pythons:
        for workload in WORKLOADS:
            exact, runs = measure(heaptide, python, environment(python, packages), workload.__name__)
            objects, size = (", ".join(f"{getattr(run, of) / getattr(exact, of):.2f}" for run in runs)
                             for of in ("objects", "size"))
            held = sum(run.low <= exact.size <= run.high for run in runs)
            print(f"| {version(python)} | {workload.__name__.replace('_', ' ')} | {objects} | {size} | {held} of {RUNS} |", flush=True)


def measure(heaptide, python, environ, name):
    loop = Loop([python, os.path.join(os.path.dirname(__file__), "workloads.py"), name, "3600"], environ)
    try:
        time.sleep(STARTED)
        runs = [attach(heaptide, loop, SECONDS) for _ in range(RUNS)]
        return attach(heaptide, loop, EXACT, "--exact"), runs
    finally:
        ends(loop.process)


def attach(heaptide, loop, seconds, *flags):
    """What an operation is said to allocate."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.heaptide"
        start = time.monotonic()
        command = [heaptide, "attach", str(loop.pid), "-q", "-d", f"{seconds}s", "-o", path, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        found = report(heaptide, path)
    first, *others = [sample for sample in loop.samples if start + STARTED < sample[0] <= start + seconds]
    pace = sum(operations for _, operations, *_ in others) / (others[-1][0] - first[0])
    operations = pace * found["recording"]["duration"]
    sums = found["totals"]
    size = sums["allocated"]
    each = sums["allocations"]["estimate"], size["estimate"], size["low"], size["high"]
    return Allocated(*(value / operations for value in each))


if __name__ == "__main__":
    main(*sys.argv[1:])
