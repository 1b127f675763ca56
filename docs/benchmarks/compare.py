"""What `heaptide diff` says of pairs of recordings whose difference is known.

    compare.py HEAPTIDE PYTHON         as root; exits with 1 if it says what is not so

SECONDS and PAIRS in the environment change how long is recorded, and how many pairs of the same there are.
"""

import collections
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys
import tempfile

SECONDS = int(os.environ.get("SECONDS", "60"))
PAIRS = int(os.environ.get("PAIRS", "20"))
# How many programs are recorded at the same time: each needs a processor now and then.
AT_ONCE = 4
PROGRAM = pathlib.Path(__file__).with_name("changes.py")
MODES = {"budget of 2 %": [], "--exact": ["--exact"]}
# What is compared, how, and what must not be said; `cannot-tell` is no answer, but never a wrong one.
KNOWN = [
    ("a leak and its fix", ["leaky"], ["mended"], "improved"),
    ("a cache of 40 MB, halved", ["cache", "40"], ["cache", "20"], "improved"),
    ("5 % more a second", ["rate", "500000"], ["rate", "525000"], "regressed"),
]


def record(heaptide, python, file, arguments, flags):
    """Records a program."""
    with subprocess.Popen(
        [python, PROGRAM, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout.readline() == "ready\n"
        command = [heaptide, "attach", str(program.pid), "-q", "-d", f"{SECONDS}s", "-o", file, *flags]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        program.stdin.close()
    return file


def diff(heaptide, before, after):
    """What is said of all that is retained, and of the lines."""
    said = subprocess.check_output([heaptide, "diff", before, after, "--format", "json"])
    said = json.loads(said)
    retained = said["total"]["retained"]
    lines = [line["retained"]["verdict"] for line in said["lines"]]
    return retained["verdict"], retained["percent"], lines


def main(heaptide, python):
    wrong = 0
    with tempfile.TemporaryDirectory() as folder, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:

        def recorded(name, arguments, flags):
            return pool.submit(record, heaptide, python, f"{folder}/{name}", arguments, flags)

        print(f"Recordings of {SECONDS} s.\n\n| pair | recorded with | retained | change |\n|---|---|---|---|")
        asked = []
        for number, (what, before, after, expected) in enumerate(KNOWN):
            for mode, flags in MODES.items():
                names = [f"{number}{len(flags)}{side}" for side in "ba"]
                sides = [recorded(name, arguments, flags) for name, arguments in zip(names, (before, after))]
                asked.append((what, mode, expected, sides))
        for what, mode, expected, sides in asked:
            verdict, percent, _lines = diff(heaptide, *(side.result() for side in sides))
            wrong += verdict not in (expected, "cannot-tell")
            change = "from nothing" if percent is None else f"{percent:+.1f} %"
            print(f"| {what} | {mode} | {verdict} | {change} |", flush=True)

        print(f"\n| {PAIRS} pairs of the same | recorded with | retained | lines |\n|---|---|---|---|")
        for mode, flags in MODES.items():
            sides = [
                [recorded(f"same{len(flags)}{pair}{side}", ["leaky"], flags) for side in "ba"]
                for pair in range(PAIRS)
            ]
            sums, lines = collections.Counter(), collections.Counter()
            for pair in sides:
                verdict, _percent, of_lines = diff(heaptide, *(side.result() for side in pair))
                sums[verdict] += 1
                lines.update(of_lines)
            wrong += sum(counts[verdict] for counts in (sums, lines) for verdict in ("improved", "regressed"))
            counted = [", ".join(f"{n} {verdict}" for verdict, n in counts.items()) for counts in (sums, lines)]
            print(f"| leaky | {mode} | {counted[0]} | {counted[1]} |", flush=True)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
