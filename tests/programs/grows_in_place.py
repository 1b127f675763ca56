"""Lets a list and a bytearray grow, which moves their blocks again and again."""

import sys
from itertools import repeat

from steps import take_orders

entries = []
body = bytearray()


def grow_list():
    # Counting would make an object each time.
    for _ in repeat(None, 3_000_000):
        entries.append(None)  # grows the list
    return sys.getsizeof(entries)


def grow_bytearray():
    chunk = bytes(64 * 1024)
    for _ in range(256):
        body.extend(chunk)  # grows the bytearray
    return sys.getsizeof(body)


take_orders(list=grow_list, bytearray=grow_bytearray)
