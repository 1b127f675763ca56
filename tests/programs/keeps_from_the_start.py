"""Keeps a hundred megabytes in small steps from its first line on, and waits for a signal.

The work between the steps gives a profiler that meets it at its start the time to place probes.
It makes no objects, so that it takes as long with every allocation measured.
"""

kept = []
for step in range(100):
    kept.append(b"k" * 1_000_000)  # keeps at once
    for _ in range(40):
        kept[-1].isalpha()

import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("waiting", file=sys.stderr, flush=True)
signal.sigwait({signal.SIGTERM})
