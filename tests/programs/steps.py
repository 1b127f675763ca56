"""Takes orders from the test, one per line, and answers each with a line of JSON."""

import functools
import json
import mmap
import sys

# Makes something of so many bytes, without a frame of its own. Where objects are not measured, it
# is a mapping.
make = functools.partial(mmap.mmap, -1) if "t" in sys.abiflags else bytes


def take_orders(**orders):
    print("ready", flush=True)
    for line in sys.stdin:
        name, *arguments = line.split()
        print(json.dumps(orders[name](*arguments)), flush=True)
