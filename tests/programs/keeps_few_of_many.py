"""Drops large blocks for some seconds, far too many to watch them all, and keeps a few."""

import time

from steps import take_orders

kept = []


def work(seconds):
    """Returns how many bytes it dropped and kept."""
    end = time.monotonic() + float(seconds)
    dropped = 0
    before = len(kept)
    while time.monotonic() < end:
        for _ in range(50):
            bytearray(2000)  # drops
            sum(range(600))
        dropped += 50 * 2001
        kept.append(bytearray(8000))  # keeps
    return [dropped, (len(kept) - before) * 8001]


take_orders(work=work)
