"""Parses JSON without pause: objects that are close together, made by code that is not a tight loop."""

import json
import sys
import time

from steps import take_orders

ORDERS = [
    {"id": 1000 + number, "price": 0.5 + number, "name": f"item {number}", "counts": [number + 0.25, number + 0.75]}
    for number in range(100)
]
TEXT = json.dumps(ORDERS)
# For each number, the decoder makes a text of its digits first, and drops it.
NUMBERS = 4 * len(ORDERS)


def count():
    """How many objects one go makes."""
    before = sys.getallocatedblocks()
    orders = json.loads(TEXT)
    return sys.getallocatedblocks() - before + NUMBERS if orders else 0


def work(seconds):
    """Returns how many objects it made."""
    each, made = count(), 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for _ in range(10):
            json.loads(TEXT)
            made += each
    return made


take_orders(work=work)
