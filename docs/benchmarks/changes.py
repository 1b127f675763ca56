"""Keeps memory by the clock, however busy the machine is, until standard input is closed.

    changes.py leaky|mended            keeps half a megabyte a second, or drops it
    changes.py cache MEGABYTES         fills a cache with 2 MB a second, and turns it over from then on
    changes.py rate BYTES              keeps so many bytes a second

Each of them also works on what it keeps nothing of.
"""

import collections
import json
import select
import sys
import time

BLOCK = 2000
PER_SECOND = 250
CACHED_PER_SECOND = 1000

kept = collections.deque()


def churn(number):
    """Allocates and drops some hundred objects."""
    rows = [{"article": f"{number}:{row}", "price": row} for row in range(8)]
    return len(json.loads(json.dumps(rows)))


def keep(block, most):
    """Keeps a block, and no more than so many of them."""
    kept.append(block)
    while len(kept) > most:
        kept.popleft()


def plan(kind, size):
    """The bytes of a block, how many are kept, and how many come in a second."""
    match kind:
        case "leaky":
            return BLOCK, sys.maxsize, PER_SECOND
        case "mended":
            return BLOCK, 0, PER_SECOND
        case "cache":
            most = int(float(size) * 1e6) // BLOCK
            return BLOCK, most, CACHED_PER_SECOND
        case "rate":
            return int(size) // PER_SECOND, sys.maxsize, PER_SECOND
    raise SystemExit(__doc__)


def main(kind, size="0"):
    block, most, per_second = plan(kind, size)
    print("ready", flush=True)
    start = time.monotonic()
    done = 0
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        due = int((time.monotonic() - start) * per_second)
        for number in range(done, due):
            keep(bytes(block), most)
            if number % 4 == 0:
                churn(number)
        done = due


if __name__ == "__main__":
    main(*sys.argv[1:])
