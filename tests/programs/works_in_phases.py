"""Does one kind of work after the other, each at its own pace, and counts the bytes that each makes."""

import sys
import time

from steps import take_orders

TEXT, BLOB = "0", b"0"
PLACES = list(range(100))
kept = [None] * 100


def texts():
    for place in PLACES:
        kept[place] = TEXT * 75  # texts


def blobs():
    for place in PLACES:
        kept[place] = BLOB * 300  # blobs


def pauses():
    for _ in range(20):
        for place in PLACES:
            kept[place] = TEXT * 140  # pauses
    time.sleep(0.0003)


PHASES = [(texts, 0.9), (pauses, 0.7), (blobs, 0.4)]


def size_of(phase):
    """How many bytes one go makes."""
    phase()
    rounds = 20 if phase is pauses else 1
    return rounds * sum(-(-sys.getsizeof(made) // 16) * 16 for made in kept)


def work(seconds):
    """Returns the bytes that each phase made."""
    sizes = {phase: size_of(phase) for phase, _ in PHASES}
    made = dict.fromkeys(sizes, 0)
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for phase, length in PHASES:
            stop = time.monotonic() + length
            while time.monotonic() < stop:
                phase()
                made[phase] += sizes[phase]
    return list(made.values())


take_orders(work=work)
