"""What the benchmarks share: interpreters, their packages, and what heaptide itself uses."""

import json
import os
import pathlib
import re
import subprocess
import time

# Seconds after which heaptide measures.
STARTED = 2.0


def version(python):
    """How an interpreter is named in tables."""
    number = ask(python, "'%d.%d.%d' % sys.version_info[:3]")
    return f"Debian's {number}" if str(python).startswith("/usr/bin/") else number


def environment(python, packages):
    """The environment in which an interpreter finds the packages of its version."""
    feature = ask(python, "'%d.%d' % sys.version_info[:2]")
    return {**os.environ, "PYTHONPATH": os.path.join(packages, feature), "PYTHONHASHSEED": "0"}


def ask(python, expression):
    command = [python, "-c", f"import sys; print({expression})"]
    return subprocess.check_output(command, text=True).strip()


def heaptide_use(command):
    """Runs heaptide; returns its processor time in percent once it has started, and its peak in MB.

    To start costs it about a second of a processor, nearly all in the kernel's verifier of programs.
    """
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    time.sleep(STARTED)
    first = last = use_so_far(process.pid)
    while process.poll() is None:
        time.sleep(0.1)
        last = use_so_far(process.pid) or last
    if process.returncode:
        raise SystemExit(f"{command} failed with exit code {process.returncode}")
    return 100 * (last[1] - first[1]) / (last[0] - first[0]), last[2]


def use_so_far(pid):
    """The moment, and the processor seconds and peak resident MB up to now; None if it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return None
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    ticks = int(fields[11]) + int(fields[12])
    return peak and (time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), int(peak[1]) * 1024 / 1e6)


def ends(process):
    process.kill()
    process.wait()


def report(heaptide, recording):
    command = [heaptide, "report", recording, "--format", "json"]
    return json.loads(subprocess.check_output(command))
