"""Keeps one megabyte from each kind of place that Python code can stand in."""

import asyncio
import threading

from steps import make, take_orders

MEGABYTE = 1_000_000
kept = []


def generate():
    while True:
        yield make(MEGABYTE)  # generator


async def fetch():
    await asyncio.sleep(0)
    kept.append(make(MEGABYTE))  # coroutine


def work():
    kept.append(make(MEGABYTE))  # thread


class Outer:
    class Inner:
        def method(self):
            kept.append(make(MEGABYTE))  # method of a nested class

    @classmethod
    def make(cls):
        kept.append(make(MEGABYTE))  # class method


def enclosing():
    def enclosed():
        kept.append(make(MEGABYTE))  # enclosed function

    enclosed()


spare = lambda: kept.append(make(MEGABYTE))  # lambda


def everywhere():
    kept.append(next(generator))
    asyncio.run(fetch())
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    Outer.Inner().method()
    Outer.make()
    enclosing()
    spare()


def qualified():
    """Whether code objects know the classes and functions around them."""
    return hasattr(qualified.__code__, "co_qualname")


generator = generate()
take_orders(everywhere=everywhere, qualified=qualified)
