"""Has two threads that keep a megabyte when told to, one of them from the start.

Each calls itself as its function, for the kernel too.
"""

import contextlib
import pathlib
import queue
import threading

from steps import make, take_orders

kept = []


def call_itself(name):
    # A root of its own need not have a /proc.
    with contextlib.suppress(FileNotFoundError):
        pathlib.Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)


def early(orders, answers):
    call_itself("early")
    while orders.get():
        kept.append(make(1_000_000))  # the early thread
        answers.put(len(kept))


def late(orders, answers):
    call_itself("late")
    while orders.get():
        kept.append(make(2_000_000))  # the late thread
        answers.put(len(kept))


class Worker:
    def __init__(self, work):
        self.orders, self.answers = queue.Queue(), queue.Queue()
        threading.Thread(target=work, args=(self.orders, self.answers), daemon=True).start()

    def order(self):
        self.orders.put(True)
        return self.answers.get()


workers = {"early": Worker(early)}
take_orders(
    start=lambda: workers.update(late=Worker(late)),
    keep=lambda name: workers[name].order(),
)
