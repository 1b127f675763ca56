"""Keeps blocks of all sizes, each time among others that it drops, and says how many bytes.

Large ones come from `malloc`, `calloc` and `realloc`, whatever Python puts in front of them.
They are few, so that the budget lets all of them be watched.
"""

import sys

from steps import take_orders

# Their room is there from the start, so that only what they hold grows.
made = [None] * 50
zeroed = [None] * 50
small = [None] * 5_000
grown = bytearray()


def make():
    for index in range(len(made)):
        dropped = "d" * 20_000
        made[index] = "k" * (1_000 + 1_000 * index)  # makes
    return sum(map(sys.getsizeof, made))


def zero():
    for index in range(len(zeroed)):
        dropped = bytes(20_000)
        zeroed[index] = bytes(1_000 + 1_000 * index)  # zeroes
    return sum(map(sys.getsizeof, zeroed))


def grow():
    more = b"g" * 19_997
    for _ in range(50):
        grown.extend(more)  # grows
    return sys.getsizeof(grown)


def keep_small():
    more = "s" * 380
    for index in range(len(small)):
        small[index] = more.encode()  # keeps small
        if index % 1_000 == 0:
            dropped = [more.encode() for _ in range(100)]
            dropped = None
    return sum(map(sys.getsizeof, small))


take_orders(make=make, zero=zero, grow=grow, small=keep_small)
