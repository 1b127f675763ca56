"""Keeps one string of a megabyte at each order, among others that it drops at once."""

import sys

from steps import take_orders

kept = []


def keep():
    kept.append("k" * 1_000_000)  # keeps


def churn():
    for _ in range(10):
        dropped = "d" * 1_000_000  # drops


def handle():
    churn()
    keep()
    churn()
    return sum(map(sys.getsizeof, kept))


take_orders(handle=handle)
