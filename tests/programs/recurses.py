"""Keeps a megabyte at the end of a recursion of a given depth."""

import sys

from steps import make, take_orders

kept = []


def descend(depth):
    if depth == 1:
        kept.append(make(1_000_000))  # the bottom
    else:
        descend(depth - 1)  # the way down


def depth():
    """How many frames there are below the first one of a recursion."""
    frame, count = sys._getframe(1), 1
    while frame:
        frame, count = frame.f_back, count + 1
    return count


sys.setrecursionlimit(10_000)
take_orders(descend=lambda depth: descend(int(depth)), depth=depth)
