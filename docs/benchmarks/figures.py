"""What heaptide finds against what the programs count themselves, and how long it takes.

    figures.py HEAPTIDE PYTHON...      as root
"""

import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).parent


def main(heaptide, *pythons):
    for python in pythons:
        strings(heaptide, python)
        mappings(heaptide, python)


def strings(heaptide, python):
    truth, report, times = record(heaptide, python, FOLDER / "keeps_strings.py")
    sites = report["sites"]
    total = sum(site["retained"]["estimate"] for site in sites)
    top = sites[0]
    print(f"{python}: {top['function']} has {top['retained']['estimate'] / total:.2%} of what is retained")
    print(f"  against the program's own count: {top['retained']['estimate'] / truth - 1:+.3%}")
    print(f"  lost events: {lost(report)}, cost {report['overhead']['measured_percent']:.2f} %")
    print("  ready after {:.2f} s, summary {:.2f} s and end {:.2f} s after Ctrl-C".format(*times))


def mappings(heaptide, python):
    truth, report, _times = record(heaptide, python, FOLDER / "keeps_mappings.py")
    own = [site for site in report["sites"] if site["file"].endswith("keeps_mappings.py")]
    mapped = sum(site["mapped"] for site in own)
    print(f"  mappings: {mapped} bytes, {mapped - truth:+} against the program; lost events: {lost(report)}")


def lost(report):
    return sum(loss["count"] for loss in report["losses"] if loss["loses_data"])


def record(heaptide, python, program):
    """Runs a program in step with a recording; returns its own count, the report and the times."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.heaptide"
        target = subprocess.Popen([python, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        target.stdout.readline()
        start = time.time()
        command = [heaptide, "attach", str(target.pid), "-o", path, "--flamegraph", f"{folder}/x.svg"]
        attach = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        attach.stderr.readline()
        ready = time.time() - start
        print("go", file=target.stdin, flush=True)
        truth = int(target.stdout.readline())
        start = time.time()
        attach.send_signal(signal.SIGINT)
        attach.stdout.readline()
        written = time.time() - start
        attach.communicate()
        ended = time.time() - start
        print("end", file=target.stdin, flush=True)
        target.wait()
        report = json.loads(subprocess.check_output([heaptide, "report", path, "--format", "json"]))
    return truth, report, (ready, written, ended)


main(*sys.argv[1:])
