"""What heaptide says of small objects at its default budget, against what programs count themselves.

    accuracy.py HEAPTIDE PYTHON...      as root; prints Markdown
"""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile

from common import ends, report, version

FOLDER = pathlib.Path(__file__).parent
RUNS = int(os.environ.get("RUNS", 3))
SECONDS = float(os.environ.get("SECONDS", 60))


def main(heaptide, *pythons):
    for title, header, measure in BENCHES:
        print(f"\n### {title}\n\n| interpreter | {header} |")
        print("|---" * (header.count("|") + 2) + "|")
        for python in pythons:
            for run in range(RUNS):
                print(f"| {version(python)} | {measure(heaptide, python, run)} |", flush=True)


def hidden_leak(heaptide, python, _run):
    truth, found = record(heaptide, [python, FOLDER / "hidden_leak.py", str(SECONDS)])
    truth = json.loads(truth)
    line = marked("hidden_leak.py", "leaks")
    total = sum(site["retained"]["estimate"] for site in found["sites"])
    leak = next(site for site in found["sites"] if site["line"] == line)
    transient = {marked("hidden_leak.py", name) for name in ("numbers", "words", "upper")}
    wrong = sum(s["retained"]["estimate"] for s in found["sites"] if s["line"] in transient)
    retained = leak["retained"]
    within = "yes" if retained["low"] <= truth["leaks"] <= retained["high"] else "no"
    return (f"{truth['transients a second'] / 1e6:.1f} million | {leak['rank']} | {retained['estimate'] / total:.1%}"
            f" | {retained['estimate'] / truth['leaks'] - 1:+.1%} | {within} | {wrong / total:.2%}"
            f" | {found['overhead']['measured_percent']:.2f} %")


def busy_sites(heaptide, python, run):
    return seeded_sites(heaptide, python, run, "work")


def idle_sites(heaptide, python, run):
    return seeded_sites(heaptide, python, run, "sleep")


def seeded_sites(heaptide, python, run, meanwhile):
    command = [python, FOLDER / "seeded_sites.py", str(run + 1), str(round(20_000 * SECONDS)), str(SECONDS)]
    truth = json.loads(alone([*command, "tracemalloc"]))
    truth = {int(line): size for line, size in truth.items()}
    _done, found = record(heaptide, [*command, meanwhile])
    said = {}
    for site in found["sites"]:
        if site["file"].endswith("sites.py") and site["function"].startswith("site_"):
            said[site["line"]] = said.get(site["line"], 0) + site["retained"]["estimate"]
    right = set(heaviest(truth)) & set(heaviest(said))
    return f"{run + 1} | {len(right)} | {sum(said.values()) / sum(truth.values()) - 1:+.1%}"


def unequal_phases(heaptide, python, _run):
    truth, found = record(heaptide, [python, FOLDER / "unequal_phases.py", str(SECONDS)])
    truth = json.loads(truth)
    errors = []
    for name, size in truth.items():
        line = marked("unequal_phases.py", name)
        said = sum(s["allocated"]["estimate"] for s in found["sites"] if s["line"] == line)
        errors.append(f"{name} {size / sum(truth.values()):.0%}: {said / size - 1:+.1%}")
    return ", ".join(errors)


BENCHES = [
    (
        "A leak of 2,000 records a second among transient objects",
        "transient objects a second | rank of the leaking line | its share of what is retained | its bytes against"
        " the truth | truth within the interval | transient lines' share | cost",
        hidden_leak,
    ),
    (
        "Forty lines that keep, replace or drop, in a busy process",
        "seed | of the true first ten found | sum against the truth",
        busy_sites,
    ),
    (
        "Forty lines that keep, replace or drop, and sleep for most of the time",
        "seed | of the true first ten found | sum against the truth",
        idle_sites,
    ),
    ("Allocated by line, in unequal phases", "share of each line, and what is said against the truth", unequal_phases),
]


def heaviest(sizes):
    return sorted(sizes, key=sizes.get, reverse=True)[:10]


def marked(program, marker):
    """The line of a program that carries a marker."""
    lines = (FOLDER / program).read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.endswith(f"# {marker}"))


def start(command):
    target = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    target.stdout.readline()
    return target


def go(target):
    print("go", file=target.stdin, flush=True)
    return target.stdout.readline()


def alone(command):
    target = start(command)
    said = go(target)
    ends(target)
    return said


def record(heaptide, command):
    """Runs a program in step with a recording; returns what the program counted, and the report."""
    target = start(command)
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/x.heaptide"
        attach = subprocess.Popen(
            [heaptide, "attach", str(target.pid), "-o", path],
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        )
        attach.stderr.readline()
        truth = go(target)
        attach.send_signal(signal.SIGINT)
        attach.communicate()
        ends(target)
        return truth, report(heaptide, path)


if __name__ == "__main__":
    main(*sys.argv[1:])
