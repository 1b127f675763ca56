"""Forks workers from a process that has loaded much; each then uses it in a way of its own.

Workers answer with what they have for themselves, as the kernel says: `smaps_rollup`.
"""

import collections
import gc
import os

from steps import take_orders

MEGABYTE = 1 << 20

# Objects that the collector tracks, and one large block without any.
things = []
block = bytearray()


def load():
    global block
    things.extend([number] for number in range(300_000))
    block = bytearray(b"x") * (32 * MEGABYTE)
    # What is garbage now should not be found by workers.
    gc.collect()


def idle():
    pass


def read():
    collections.deque(things, maxlen=0)  # reads


def collect():
    gc.collect()  # collects


def write():
    for place in range(0, len(block), 4096):
        block[place] = 1  # writes


def private():
    with open("/proc/self/smaps_rollup") as file:
        lines = [line.split() for line in file]
    sizes = {name[:-1]: int(size) for name, size, *_ in lines[1:]}
    return 1024 * (sizes["Private_Clean"] + sizes["Private_Dirty"])


class Worker:
    def __init__(self, work):
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            gc.disable()
            while os.read(orders, 1):
                work()
                os.write(answers, b"%20d" % private())
            os._exit(0)

    def order(self):
        os.write(self.orders, b".")
        return int(os.read(self.answers, 20))


workers = {}


def fork():
    for work in idle, read, collect, write:
        workers[work.__name__] = Worker(work)
    return {name: worker.pid for name, worker in workers.items()}


def work():
    return {name: worker.order() for name, worker in workers.items()}


load()
take_orders(fork=fork, work=work)
