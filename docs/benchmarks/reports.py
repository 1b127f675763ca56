"""How long reports of long recordings take, and how much memory.

    reports.py HEAPTIDE BEFORE AFTER      exits with 1 if a bound is broken
"""

import os
import subprocess
import sys
import tempfile
import time

MIB = 1 << 20
MEMORY = 300 * MIB


def main(heaptide, before, after):
    print(f"recordings of {os.path.getsize(before) / MIB:.0f} and {os.path.getsize(after) / MIB:.0f} MiB")
    with tempfile.TemporaryDirectory() as folder:
        runs = [
            (1.0, ["report", before]),
            (1.0, ["report", before, "--format", "json"]),
            (1.0, ["flamegraph", before, "-o", f"{folder}/x.svg"]),
            (2.0, ["diff", before, after]),
            (2.0, ["diff", before, after, "--format", "json"]),
            (2.0, ["diff", before, after, "--format", "svg", "-o", f"{folder}/y.svg"]),
        ]
        broken = [bound for bound, command in runs if not keeps(bound, [heaptide, *command])]
    return 1 if broken else 0


def keeps(bound, command):
    """Runs a command three times; whether the best run keeps the bounds."""
    seconds, processor, memory = min(measure(command) for _ in range(3))
    words = [word for word in command[1:] if "/" not in word and not word.endswith("heaptide") and word != "-o"]
    verdict = "" if seconds < bound and memory < MEMORY else f"   more than {bound} s or {MEMORY // MIB} MiB"
    print(f"{' '.join(words):24} {seconds:6.2f} s ({processor:.2f} s on processors) {memory / MIB:6.0f} MiB{verdict}")
    return not verdict


def measure(command):
    start = time.monotonic()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _pid, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"{command} exited with {child.returncode}")
    return time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
