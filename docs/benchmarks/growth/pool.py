"""A parent that forks workers: two at the start or four, and one with each order."""

import os
import sys
import time

import support

if os.environ[support.BEHAVIOUR] == "Copied":
    import behaviours

    behaviour = behaviours.make()
else:
    behaviour = None


def worker():
    global behaviour
    if behaviour is None:
        import behaviours

        behaviour = behaviours.make()
    while True:
        time.sleep(0.1)
        behaviour.answer("work")


def start():
    if os.fork() == 0:
        worker()


for _ in range(int(os.environ.get("SCENARIO_WORKERS", 4))):
    start()
print("ready", flush=True)
sys.stdin.readline()
for order in sys.stdin:
    if order.strip() == "worker":
        start()
