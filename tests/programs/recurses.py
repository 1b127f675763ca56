"""Keeps a megabyte at the end of a recursion of a given depth."""

from steps import take_orders

kept = []


def descend(depth):
    if depth == 1:
        kept.append(bytes(1_000_000))  # the bottom
    else:
        descend(depth - 1)  # the way down


take_orders(descend=lambda depth: descend(int(depth)))
