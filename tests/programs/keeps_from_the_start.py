"""Keeps fifty megabytes before it does anything else, and waits for a signal that ends it."""

kept = [b"k" * 1_000_000 for _ in range(50)]  # keeps at once

import signal
import sys

signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
print("waiting", file=sys.stderr, flush=True)
signal.sigwait({signal.SIGTERM})
