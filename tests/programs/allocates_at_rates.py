"""Makes objects and drops them, at a low rate or at a high one, in threads or in processes."""

import os
import threading
import time
from itertools import repeat

from steps import take_orders


def spin(seconds, objects):
    """Of a hundred rounds, so many make an object."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in repeat(None, 200):
            for _ in repeat(None, objects):
                bytes(64)
            for _ in repeat(None, 100 - objects):
                pass


def work(threads, low, high):
    """Works for so many seconds at a low rate, and at one a hundred times as high."""

    def both():
        spin(float(low), 1)
        spin(float(high), 100)

    workers = [threading.Thread(target=both) for _ in range(int(threads))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def fork(workers, seconds):
    """Forks processes that work for so many seconds at a high rate."""
    pids = []
    for _ in range(int(workers)):
        pids.append(os.fork())
        if pids[-1] == 0:
            spin(float(seconds), 100)
            os._exit(0)
    for pid in pids:
        os.waitpid(pid, 0)
    return pids


take_orders(work=work, fork=fork)
