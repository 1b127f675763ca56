"""Runs a loop so often that a just-in-time compiler takes it over, then keeps blocks in it."""

import sys

from steps import take_orders

kept = []


def make(size):
    return bytes(size)  # makes


def loop(count, size):
    blocks = []
    for number in range(count):
        if number % 3:
            blocks.append(make(size))  # keeps
        else:
            blocks.append(bytearray(2 * size))  # keeps more
    return blocks


def is_compiled():
    jit = getattr(sys, "_jit", None)
    return jit is not None and jit.is_enabled()


take_orders(
    warm_up=lambda: len(loop(30_000, 10)),
    keep=lambda: kept.append(loop(300, 10_000)),
    is_compiled=is_compiled,
)
