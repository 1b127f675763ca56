"""Answers made-up orders, and keeps a page of each (`leaky`) or of the last hundred (`mended`).

It prints `ready` when it is, and serves until its standard input is closed.
"""

import json
import select
import sys
import time

PER_SECOND = 60
TICK_SECONDS = 0.02
PAGE_BYTES = 3000
KEPT = 100

pages = []


class Basket:
    """What somebody wants to buy."""

    def __init__(self, order):
        self.order = order
        self.rows = [{"article": f"article {order}:{row}", "price": row} for row in range(4)]

    def render(self):
        """Allocates a lot and keeps nothing."""
        text = json.dumps(self.rows, indent=1)
        return len(json.loads(text)) * text


def remember(order, page):
    """Keeps the head of a page."""
    pages.append({"order": order, "head": page[:PAGE_BYTES]})
    if sys.argv[1] == "mended" and len(pages) > KEPT:
        del pages[0]


def serve(order):
    """Answers one order."""
    remember(order, Basket(order).render())


def main():
    """Serves so many orders a second, however busy the machine is, until standard input is closed."""
    start = time.monotonic()
    order = 0
    print("ready", flush=True)
    while not select.select([sys.stdin], [], [], TICK_SECONDS)[0]:
        due = int((time.monotonic() - start) * PER_SECOND)
        while order < due:
            serve(order)
            order += 1


main()
