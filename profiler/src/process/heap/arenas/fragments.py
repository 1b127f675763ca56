"""A program that leaves free memory in the heap of glibc, in known ways, and tells what glibc says.

Each line that it reads names one way. It answers with a line of JSON: for the main arena and for
those of threads, the bytes from the system and the bytes that are free, as `malloc_info` has them,
and what `mallinfo2` calls the top. With an argument, it is a forked process that does all that.
"""

import ctypes
import json
import os
import re
import sys
import tempfile
import threading

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p
libc.malloc.argtypes = [ctypes.c_size_t]
libc.free.argtypes = libc.fclose.argtypes = [ctypes.c_void_p]
libc.malloc_info.argtypes = [ctypes.c_int, ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]


class Figures(ctypes.Structure):
    NAMES = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in NAMES.split()]


libc.mallinfo2.restype = Figures


def told():
    with tempfile.NamedTemporaryFile() as file:
        stream = libc.fopen(file.name.encode(), b"w")
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        text = file.read().decode()
    arenas = []
    for heap in re.findall(r'<heap nr="\d+">(.*?)</heap>', text, re.DOTALL):
        totals = re.findall(r'<total type="(?:fast|rest)" count="\d+" size="(\d+)"', heap)
        (system,) = re.findall(r'<system type="current" size="(\d+)"', heap)
        arenas.append([int(system), sum(map(int, totals))])
    others = [sum(column) for column in zip(*arenas[1:])] or [0, 0]
    return {
        "main": arenas[0],
        "threads": others,
        "arenas": len(arenas),
        "top": libc.mallinfo2().keepcost,
    }


def blocks(count, size):
    found = [libc.malloc(size) for _ in range(count)]
    for block in found:
        libc.memset(block, 1, size)
    return found


def release(found):
    for block in found:
        libc.free(block)


kept = []


def pin(count, size, each):
    """Keeps every so-manyth block, which holds what is around it."""
    found = blocks(count, size)
    kept.extend(found[::each])
    release(block for number, block in enumerate(found) if number % each)


def in_threads(work, count):
    """The threads stay, so that each has an arena of its own."""
    done, stay = threading.Barrier(count + 1), threading.Event()

    def run():
        work()
        done.wait()
        stay.wait()

    for _ in range(count):
        threading.Thread(target=run, daemon=True).start()
    done.wait()


WAYS = {
    "nothing": lambda: None,
    "pinned": lambda: pin(40_000, 2000, 8),
    "small": lambda: pin(200_000, 100, 3),
    "top": lambda: release(blocks(400, 60_000)),
    "trim": lambda: libc.malloc_trim(0),
    "threads": lambda: in_threads(lambda: pin(5_000, 3000, 10), 3),
    "many heaps": lambda: in_threads(lambda: pin(60_000, 3000, 50), 1),
}

# What it needs to tell is there before it is asked.
told()
# What is released at the end of the heap stays in it.
libc.mallopt(-1, 1 << 30)
if len(sys.argv) > 1 and (child := os.fork()):
    os.waitpid(child, 0)
    sys.exit()
print("ready", flush=True)
for line in sys.stdin:
    WAYS[line.strip()]()
    print(json.dumps(told()), flush=True)
