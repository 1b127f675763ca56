"""What attaching costs a busy JSON service: probes on and off in alternating slices of one run.

    overhead.py HEAPTIDE [PYTHON [SLICES]]      as root, on a quiet machine
"""

import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

SLICE = 8.0
# What attaching and detaching themselves disturb belongs to no slice.
MARGIN = 1.2
SERVICE = pathlib.Path(__file__).with_name("json_service.py")


def main(heaptide, python=sys.executable, slices="5"):
    slices = int(slices)
    seconds = (2 * slices + 1) * (SLICE + 2) + 5
    service = subprocess.Popen([python, SERVICE, str(seconds)], stdout=subprocess.PIPE, text=True)
    rates = []
    threading.Thread(target=collect, args=(service.stdout, rates), daemon=True).start()
    time.sleep(2)
    spans = [measure(heaptide, service.pid) for _ in range(slices)]
    time.sleep(SLICE)
    service.kill()
    report(rates, spans)


def collect(lines, rates):
    for line in lines:
        moment, rate = line.split()
        rates.append((float(moment), float(rate)))


def measure(heaptide, pid):
    """Leaves the service alone for a slice, attaches for another, and returns when that was."""
    time.sleep(SLICE)
    with tempfile.TemporaryDirectory() as folder:
        command = [heaptide, "attach", str(pid), "-q", "-d", f"{SLICE:.0f}s", "-o", f"{folder}/x.heaptide"]
        recording = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        start = time.time()
        recording.wait()
    return start + 0.9, time.time() - 0.3


def report(rates, spans):
    ratios, on_all, off_all = [], [], []
    for start, end in spans:
        on = [rate for moment, rate in rates if start < moment <= end]
        off = [
            rate
            for moment, rate in rates
            if start - SLICE < moment <= start - MARGIN or end + MARGIN < moment <= end + SLICE
        ]
        ratios.append(statistics.mean(on) / statistics.mean(off))
        on_all += on
        off_all += off
    print("median rate off", round(statistics.median(off_all)), "on", round(statistics.median(on_all)))
    print("mean on / mean off, by slice:", *(f"{ratio:.3f}" for ratio in ratios))
    print(f"median of these: {statistics.median(ratios):.3f}")


main(*sys.argv[1:])
