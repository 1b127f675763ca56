"""Objects of one size and of different contents whose lives are of every length, and a count of those that are left."""

import time
from collections import deque
from itertools import count, repeat

from steps import take_orders

# Blocks of 128 bytes, by what `bytes` needs beside its contents.
BLOCK = 128
SIZE = BLOCK - bytes().__sizeof__()

kept = []
recent = deque(maxlen=20_000)
slots = [None] * 5_000
serial = count()


def transient(count):
    for _ in repeat(None, count):
        dropped = next(serial).to_bytes(SIZE, "little")  # transient


def medium(count):
    for _ in range(count):
        recent.append(next(serial).to_bytes(SIZE, "little"))  # medium


def reuse(count, turn):
    for number in range(count):
        slots[(turn * count + number) % len(slots)] = next(serial).to_bytes(SIZE, "little")  # reused


def keep(count):
    for _ in range(count):
        kept.append(next(serial).to_bytes(SIZE, "little"))  # kept


def arenas():
    return [next(serial).to_bytes(SIZE, "little") for _ in repeat(None, 30_000)]  # arenas


def work(rounds):
    """All of it in turns; arenas come and go between the rounds."""
    for turn in range(int(rounds)):
        batch = arenas()
        for part in range(10):
            transient(2000)
            medium(100)
            reuse(100, 10 * turn + part)
            keep(40)
        del batch
    return left()


def live_for(seconds):
    """The same for a time by the clock of the processor, and how many rounds that was."""
    end = time.process_time() + float(seconds)
    rounds = 0
    while time.process_time() < end:
        work(1)
        rounds += 1
    return rounds


def left():
    """The bytes that each line holds."""
    lines = {
        "transient": 0,
        "medium": len(recent),
        "reused": sum(slot is not None for slot in slots),
        "kept": len(kept),
        "arenas": 0,
    }
    return {line: count * BLOCK for line, count in lines.items()}


take_orders(work=work, live_for=live_for, left=left)
