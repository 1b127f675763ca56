"""Hands out a known number of objects of each of pymalloc's size classes up to 512 bytes."""

from itertools import repeat

from steps import take_orders

# What `bytes` needs beside its contents: the head of the object, and a zero at the end.
HEAD = bytes().__sizeof__()
# Without a GIL a head alone fills the class of 48 bytes.
SIZES = [block - HEAD for block in range(48, 513, 16) if block > HEAD]
COUNT = 400
# What is made by repeating it needs no other object, such as a tuple of arguments.
BYTE = b"."
# Made before anybody watches, so that the lines below hand out nothing but what they say.
SLOTS = [None] * (COUNT * len(SIZES))
NUMBERS = [list(range(first, first + COUNT)) for first in range(0, len(SLOTS), COUNT)]
ADDRESSES = [None] * len(SLOTS)


def drop():
    for size in SIZES:
        for _ in repeat(None, COUNT):
            dropped = BYTE * size  # drops
    return len(SLOTS)


def keep():
    for size, numbers in zip(SIZES, NUMBERS):
        for number in numbers:
            SLOTS[number] = BYTE * size  # keeps
    return sum(map(len, SLOTS)) + HEAD * len(SLOTS)


def tell():
    """Keeps and drops in turns, and tells the addresses in the order of the objects."""
    for size, numbers in zip(SIZES, NUMBERS):
        for number in numbers:
            made = BYTE * size
            ADDRESSES[number] = id(made)
            if number % 3:
                SLOTS[number] = made
    return ADDRESSES


take_orders(drop=drop, keep=keep, tell=tell)
