"""A program without a server, which does what it is told, and what goes on by itself."""

import sys
import threading

import behaviours

behaviour = behaviours.make()
print("ready", flush=True)
sys.stdin.readline()
behaviours.run_ticks(behaviour)
for order in sys.stdin:
    # Orders may overlap, as requests do.
    threading.Thread(target=behaviour.answer, args=[order.strip()]).start()
