"""What a probe of small objects costs each time it is hit, with a stack of 20 frames.

    handler.py HEAPTIDE PYTHON...      as root, on a quiet machine

A program makes objects in a function that 19 others have called, while heaptide follows every object. The kernel itself says how
long the programs of probes ran (bpf_stats_enabled); what is left of what an object takes longer is the empty probe's: the
breakpoint, and the way from there to the program. Prints Markdown.
"""

import contextlib
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

from common import ends, version

FRAMES = 20
SLICES = 5
SECONDS = 3
STATISTICS = pathlib.Path("/proc/sys/kernel/bpf_stats_enabled")

PROGRAM = f"""
import itertools, json, sys, time

def churn():
    start, objects = time.process_time(), 0
    while objects < 200_000:
        for _ in itertools.repeat(None, 1000):
            object()
        objects += 1000
    return [objects, time.process_time() - start]

def call(depth):
    return call(depth - 1) if depth else churn()

for _ in sys.stdin:
    print(json.dumps(call({FRAMES} - 3)), flush=True)
"""


def main(heaptide, *pythons):
    print("| interpreter | an object without probes | the empty probe | its program, with 20 frames |")
    print("|---|---|---|---|")
    with statistics_enabled():
        for python in pythons:
            plain, empty, handler = (statistics.median(it) for it in zip(*measure(heaptide, python)))
            print(f"| {version(python)} | {plain:.2f} µs | {empty:.2f} µs | {handler:.2f} µs |", flush=True)


@contextlib.contextmanager
def statistics_enabled():
    before = STATISTICS.read_text()
    STATISTICS.write_text("1")
    try:
        yield
    finally:
        STATISTICS.write_text(before)


def measure(heaptide, python):
    """Yields what an object, the empty probe and its program took in each slice, in microseconds."""
    command = [python, "-c", PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as target:
        try:
            for _ in range(SLICES):
                plain = per_object(target)
                yield plain, *with_probes(heaptide, target, plain)
        finally:
            ends(target)


def with_probes(heaptide, target, plain):
    with tempfile.TemporaryDirectory() as folder:
        command = [heaptide, "attach", str(target.pid), "--exact", "-o", f"{folder}/x.heaptide"]
        recorder = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            # All probes are in place when it says that.
            while "recording to" not in recorder.stderr.readline():
                pass
            before = program_runs(recorder.pid)
            end, costs = time.monotonic() + SECONDS, []
            while time.monotonic() < end:
                costs.append(per_object(target))
            after = program_runs(recorder.pid)
        finally:
            recorder.terminate()
            recorder.communicate()
    # The program that was run most is that of small objects.
    _, runs = max((after[it][1] - before.get(it, (0, 0))[1], it) for it in after)
    nanoseconds, count = (later - earlier for later, earlier in zip(after[runs], before.get(runs, (0, 0))))
    handler = nanoseconds / count / 1000
    return statistics.median(costs) - plain - handler, handler


def per_object(target):
    """What an object took, in microseconds of processor time."""
    target.stdin.write("\n")
    target.stdin.flush()
    objects, seconds = json.loads(target.stdout.readline())
    return 1e6 * seconds / objects


def program_runs(pid):
    """How many nanoseconds each BPF program that a process holds has run by now, and how often."""
    runs = {}
    for file in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            fields = dict(re.findall(r"^(\w+):\s*(\S+)$", file.read_text(), re.MULTILINE))
            if int(fields.get("run_cnt", 0)) > 0:
                runs[fields["prog_id"]] = int(fields["run_time_ns"]), int(fields["run_cnt"])
    return runs


if __name__ == "__main__":
    main(*sys.argv[1:])
