"""Phases of unequal length and unequal work, which count the objects that each of their lines makes.

    unequal_phases.py SECONDS      says "ready", waits for a line, prints {line marker: bytes}

Each line makes one object at a time, and nothing that nobody sees: no numbers, no arguments, no lists that grow.
"""

import json
import sys
import time

TEXT, BLOB = "0", b"0"
PLACES = list(range(100))
MANY_PLACES = 20 * PLACES
kept = [None] * 100
bytes_made = dict.fromkeys(["texts", "small", "blobs", "rare"], 0)


def texts():
    for place in PLACES:
        kept[place] = TEXT * 75  # texts
    return 1


def small():
    for place in PLACES:
        kept[place] = BLOB * (place % 7 + 2)  # small
    return 1


def blobs():
    for place in PLACES:
        kept[place] = BLOB * 300  # blobs
    return 1


def rare():
    for place in MANY_PLACES:
        kept[place] = TEXT * 140  # rare
    time.sleep(0.0003)
    return 20


PHASES = [(texts, 3.1), (rare, 1.3), (blobs, 0.4), (small, 2.2)]


def size_of(work):
    """How many bytes the objects take that are made each time, in blocks of 16 bytes."""
    return work() * sum(-(-sys.getsizeof(made) // 16) * 16 for made in kept)


def main(seconds):
    sizes = {work: size_of(work) for work, _ in PHASES}
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for work, length in PHASES:
            stop = min(time.monotonic() + length, end)
            while time.monotonic() < stop:
                work()
                bytes_made[work.__name__] += sizes[work]
    print(json.dumps(bytes_made), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(float(sys.argv[1]))
