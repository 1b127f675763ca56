"""Forks two workers: one keeps large strings, the other maps memory and reads into it.

It prints `ready` when it is, and its workers work until its standard input is closed.
"""

import mmap
import os
import select
import sys

MEGABYTE = 1 << 20
TICK_SECONDS = 0.25

kept = []


def keep_strings():
    """Keeps a third of a megabyte."""
    kept.append("x" * (MEGABYTE // 3))


def map_memory():
    """Maps a megabyte and touches half of it; gives every second one back."""
    pages = mmap.mmap(-1, MEGABYTE)
    pages[: MEGABYTE // 2] = bytes(MEGABYTE // 2)
    if len(kept) % 2:
        kept.pop().close()
    else:
        kept.append(pages)


def worker(work):
    """Works until the parent's standard input is closed, or the parent is gone."""
    parent = os.getppid()
    while os.getppid() == parent and not select.select([sys.stdin], [], [], TICK_SECONDS)[0]:
        work()
    os._exit(0)


for job in (keep_strings, map_memory):
    if os.fork() == 0:
        worker(job)
print("ready", flush=True)
select.select([sys.stdin], [], [])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
