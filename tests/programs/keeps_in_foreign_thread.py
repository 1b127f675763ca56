"""Keeps a string of a megabyte at each order, in a thread of the program that embeds Python."""

import sys

import embedder
from steps import take_orders

kept = []


def keep():
    kept.append("k" * 1_000_000)  # keeps


def handle():
    if not embedder.in_thread(keep):
        raise OSError("no thread")
    return sum(map(sys.getsizeof, kept))


take_orders(handle=handle)
