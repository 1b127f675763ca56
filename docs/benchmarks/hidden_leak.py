"""Keeps 2,000 small records a second beside millions of objects that live for moments.

    hidden_leak.py SECONDS      says "ready", waits for a line, prints {line marker: bytes kept}

Every record takes a multiple of 16 bytes, so that the size that Python asks for is the block's size.
"""

import json
import sys
import time

RECORDS_A_SECOND = 2000
PADDING = -sys.getsizeof("") % 16 + 48

kept = []


def record(number):
    kept.append(f"{number:>{PADDING}}")  # leaks


def transient():
    total = sum(range(1_000_000, 1_006_000))  # numbers
    words = [str(number) for number in range(1500)]  # words
    return total + len([word.upper() for word in words])  # upper


def main(seconds):
    print("ready", flush=True)
    sys.stdin.readline()
    start, rounds = time.monotonic(), 0
    while (elapsed := time.monotonic() - start) < seconds:
        while len(kept) < elapsed * RECORDS_A_SECOND:
            record(len(kept))
        transient()
        rounds += 1
    size = sum(map(sys.getsizeof, kept))
    print(json.dumps({"leaks": size, "transients a second": rounds * 9000 / seconds}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(float(sys.argv[1]))
