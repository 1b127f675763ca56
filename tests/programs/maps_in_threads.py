"""Maps memory in several threads at once, and asks the C library for some."""

import ctypes
import mmap
import threading

from steps import take_orders

THREADS = 8
MAPPINGS = 50
SIZE = 1 << 20
kept = []
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p


def work(start):
    start.wait()
    for _ in range(MAPPINGS):
        kept.append(mmap.mmap(-1, SIZE, mmap.MAP_PRIVATE))  # maps


def run_threads():
    start = threading.Barrier(THREADS)
    threads = [threading.Thread(target=work, args=(start,)) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return THREADS * MAPPINGS * SIZE


def ask():
    kept.append(libc.malloc(ctypes.c_size_t(1_000_000)))  # asks


take_orders(threads=run_threads, ask=ask)
