"""Keeps 20,000 small objects of one kind, and drops ten times as many of it.

With the argument `tracemalloc` the interpreter itself says what the line holds.
"""

import sys
import tracemalloc

from steps import take_orders

COUNT = 20_000
kept = []


class Order:
    __slots__ = ("customer", "items", "price")

    def __init__(self, price):
        self.customer = self.items = None
        self.price = price


def keep_dicts():
    for number in range(COUNT):
        kept.append({"customer": None, "price": None})  # keeps dicts
        if number % 1000 == 0:
            drop_dicts()


def drop_dicts():
    for number in range(10_000):
        dropped = {"customer": None, "price": None}  # drops dicts


def keep_instances():
    for number in range(COUNT):
        kept.append(Order(None))  # keeps instances
        if number % 1000 == 0:
            drop_instances()


def drop_instances():
    for number in range(10_000):
        dropped = Order(None)  # drops instances


def traced(line):
    """What tracemalloc counts for a line of this file."""
    here = tracemalloc.Filter(True, __file__, lineno=int(line))
    snapshot = tracemalloc.take_snapshot().filter_traces([here])
    return sum(trace.size for trace in snapshot.traces)


if "tracemalloc" in sys.argv:
    tracemalloc.start()
take_orders(dicts=keep_dicts, instances=keep_instances, traced=traced)
