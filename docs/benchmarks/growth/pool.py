"""A parent that forks workers: some before it is ready, and one more with each order."""

import os
import sys
import time

import behaviours
import support

# A table that is copied by writing is made before the fork; else each worker makes its own.
behaviour = behaviours.make() if os.environ[support.BEHAVIOUR] == "Copied" else None


def work(ready):
    made = behaviour or behaviours.make()
    made.answer("warm")
    os.write(ready, b".")
    while True:
        time.sleep(0.1)
        made.answer("work")


def start():
    """Forks a worker, and waits until it works."""
    read, write = os.pipe()
    if os.fork() == 0:
        work(write)
    os.close(write)
    os.read(read, 1)
    os.close(read)


for _ in range(int(os.environ[support.WORKERS])):
    start()
print("ready", flush=True)
sys.stdin.readline()
for order in sys.stdin:
    if order.strip() == "worker":
        start()
