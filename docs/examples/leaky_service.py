"""A service with a leak, to try heaptide on.

It answers made-up orders. `render` is busy but healthy: it allocates most of the memory and
keeps none. `remember` is the leak: it allocates little and keeps it all.

It prints its process id when it is ready, and serves until its standard input is closed.
"""

import os
import select
import sys

ORDERS_PER_TICK = 2
TICK_SECONDS = 0.01

audit = []


def render(order):
    """Makes a page out of many short-lived strings."""
    return "".join(f"<td>{order}:{column:200}</td>" for column in range(50))


def remember(order, page):
    """Keeps a record of each order, and nothing ever takes one out again."""
    audit.append({"order": order, "path": f"/orders/{order}", "head": page[:4000]})


def serve(order):
    """Answers one order."""
    page = render(order)
    remember(order, page)


def main():
    """Serves some orders at each tick until standard input is closed."""
    print(os.getpid(), flush=True)
    order = 0
    while not select.select([sys.stdin], [], [], TICK_SECONDS)[0]:
        for _ in range(ORDERS_PER_TICK):
            serve(order)
            order += 1


if __name__ == "__main__":
    main()
