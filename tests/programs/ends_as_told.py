"""Maps a megabyte, and ends with the exit status or the signal that it is told."""

import mmap
import os
import signal
import sys

kept = mmap.mmap(-1, 1 << 20)  # maps

if sys.argv[1] == "on-signal":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))
    print("waiting", file=sys.stderr, flush=True)
    while True:
        signal.pause()
elif sys.argv[1] == "signal":
    os.kill(os.getpid(), int(sys.argv[2]))
else:
    sys.exit(int(sys.argv[1]))
