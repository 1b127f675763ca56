"""Forks three workers, each of which keeps memory at a line of its own when told to."""

import os

from steps import take_orders

MEGABYTE = 1_000_000
SMALL = 20_000
# What is made by repeating it needs no other object, such as a tuple of arguments.
BYTE = b"."
kept = []
small = [None] * SMALL


def first():
    kept.append(bytes(1 * MEGABYTE))  # first


def second():
    kept.append(bytes(2 * MEGABYTE))  # second


def third():
    kept.append(bytes(3 * MEGABYTE))  # third


def keep_small():
    for number in range(SMALL):
        small[number] = BYTE * 7  # small


class Worker:
    """Does `work` or what else it is told to by one byte."""

    def __init__(self, work):
        does = {b"w": work, b"s": keep_small}
        orders, self.orders = os.pipe()
        self.answers, answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.orders)
            while order := os.read(orders, 1):
                does[order]()
                os.write(answers, b".")
            os._exit(0)
        os.close(orders)

    def order(self, what):
        os.write(self.orders, what)
        os.read(self.answers, 1)


workers = []


def fork():
    workers.extend(Worker(work) for work in (first, second, third))
    return [worker.pid for worker in workers]


def work():
    for worker in workers:
        worker.order(b"w")


def work_on_small():
    workers[0].order(b"s")


def forget():
    """Forks two hundred children that end at once."""
    children = []
    for _ in range(200):
        child = os.fork()
        if child == 0:
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    return children


take_orders(fork=fork, work=work, work_on_small=work_on_small, forget=forget)
