"""Makes blocks over 512 bytes and drops them, without pause, and counts their bytes."""

import time

from steps import take_orders


def work(seconds):
    size, made = 2000, 0
    end = time.monotonic() + float(seconds)
    while time.monotonic() < end:
        for _ in range(200):
            bytearray(size)  # drops
        made += 200 * size
    return made


take_orders(work=work)
