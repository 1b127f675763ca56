"""A program that mallocs and frees at random, on request, and tells what it still holds.

Each line that it reads names a phase and whether the main thread or a second one, which has an
arena of its own, does the work. It answers with a line `address size is_live` for each block
that it ever had and that can still be told from later ones, and with `end`.
"""

import ctypes
import queue
import random
import select
import sys
import threading

libc = ctypes.CDLL(None)
malloc, realloc, free, memset = libc.malloc, libc.realloc, libc.free, libc.memset
malloc.restype = realloc.restype = memset.restype = ctypes.c_void_p
malloc.argtypes = [ctypes.c_size_t]
realloc.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
free.argtypes = [ctypes.c_void_p]
memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

chance = random.Random(7)
live = {}  # address: size
dead = {}  # address: size, where nothing else was seen to start since


def take(address, size, fill=False):
    """Notes that a block was handed out."""
    if fill:
        memset(address, 0x5A, size)
    dead.pop(address, None)
    live[address] = size


def drop(address):
    """Frees a block."""
    dead[address] = live.pop(address)
    free(address)


def any_size():
    """A size from 600 bytes to 3 MB; most are small."""
    limit = chance.choice([1032] * 8 + [4096] * 8 + [30_000] * 6 + [120_000] * 4 + [3_000_000])
    return chance.randint(600, limit)


def allocate(count):
    for _ in range(count):
        size = any_size()
        take(malloc(size), size, chance.random() < 0.5)


def free_half():
    """Frees in the order of addresses, in the opposite order, and in none."""
    addresses = sorted(live)
    third = len(addresses) // 3
    parts = [addresses[:third], addresses[third : 2 * third][::-1], addresses[2 * third :]]
    chance.shuffle(parts[2])
    for part in parts:
        for address in part:
            if chance.random() < 0.5:
                drop(address)


def reallocate(count):
    for address in chance.sample(sorted(live), count):
        old = live.pop(address)
        size = any_size()
        dead[address] = old
        take(realloc(address, size), size)


def churn():
    """Frees and allocates next to the blocks that it leaves alone, until it reads a line."""
    print("churning", flush=True)
    passing = []
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(500):
            if len(passing) > 300:
                free(passing.pop(chance.randrange(len(passing))))
            passing.append(malloc(chance.randint(16, 5000)))
    for address in passing:
        free(address)
    sys.stdin.readline()


PHASES = {
    "allocate": lambda: allocate(3000),
    "free": free_half,
    "reallocate": lambda: reallocate(300),
    "mix": lambda: [(allocate(100), free_half()) for _ in range(10)] and allocate(1000),
    "churn": churn,
}


def work(requests, done):
    """Carries out phases in the thread in which it runs."""
    while True:
        PHASES[requests.get()]()
        done.put(None)


requests, done = queue.Queue(), queue.Queue()
threading.Thread(target=work, args=(requests, done), daemon=True).start()
for line in iter(sys.stdin.readline, ""):
    phase, thread = line.split()
    if thread == "second":
        requests.put(phase)
        done.get()
    else:
        PHASES[phase]()
    report = [f"{address} {size} {int(address in live)}" for address, size in (live | dead).items()]
    print("\n".join(report), "end", sep="\n", flush=True)
