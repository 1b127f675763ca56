"""Phases of unequal length and unequal work, which count the objects that each of their lines makes.

    unequal_phases.py SECONDS      says "ready", waits for a line, prints {line marker: bytes}
"""

import json
import sys
import time

bytes_made = dict.fromkeys(["texts", "lists", "blobs", "rare"], 0)


def texts():
    made = ["%075d" % number for number in range(1000)]  # texts
    bytes_made["texts"] += sum(map(rounded, made))


def lists():
    made = [bytearray(number % 7 + 1) for number in range(1000)]  # lists
    bytes_made["lists"] += sum(map(rounded, made))


def blobs():
    made = [b"%0300d" % number for number in range(1000)]  # blobs
    bytes_made["blobs"] += sum(map(rounded, made))


def rare():
    made = ["%0140d" % number for number in range(1000)]  # rare
    bytes_made["rare"] += sum(map(rounded, made))
    time.sleep(0.005)


PHASES = [(texts, 3.1), (rare, 1.3), (blobs, 0.4), (lists, 2.2)]


def rounded(made):
    return -(-sys.getsizeof(made) // 16) * 16


def main(seconds):
    print("ready", flush=True)
    sys.stdin.readline()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for work, length in PHASES:
            stop = min(time.monotonic() + length, end)
            while time.monotonic() < stop:
                work()
    print(json.dumps(bytes_made), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(float(sys.argv[1]))
