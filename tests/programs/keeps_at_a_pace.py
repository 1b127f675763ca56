"""Keeps or drops, as its argument says, half a megabyte a second by the clock, until the orders end."""

import select
import sys
import time

SIZE = 4000
PER_SECOND = 125

keeping = sys.argv[1] == "leaky"
kept = []


def remember(number):
    block = bytes(SIZE)  # keeps
    if keeping:
        kept.append(block)


def work():
    start = time.monotonic()
    done = 0
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        # However busy the machine is, so much is due at this time.
        due = int((time.monotonic() - start) * PER_SECOND)
        for number in range(done, due):
            remember(number)
        done = due


print("ready", flush=True)
work()
