"""Keeps small objects of many types, which an interpreter hands out at many places of its code."""

import time

from steps import take_orders


class Record:
    def __init__(self, number):
        self.number = number
        self.share = number / 3


def keep(count):
    return [
        (number + 0.5, str(number), (number, number), {number: number}, [number], Record(number))
        for number in range(count)
    ]


def work(seconds):
    """Keeps and drops for a time by the clock of the processor; returns how many it kept last."""
    end = time.process_time() + float(seconds)
    while time.process_time() < end:
        kept = keep(5000)
    return len(kept)


take_orders(work=work)
