"""A service that parses and writes JSON as fast as it can, and prints how fast: Unix time, and
operations per second of its own processor time, which other processes disturb less than the clock."""

import json
import sys
import time

USERS = [
    {"id": i, "name": f"user{i}", "tags": ["a", "b", f"c{i}"], "score": i * 1.5, "path": {"x": [1, i]}}
    for i in range(60)
]
TEXT = json.dumps({"users": USERS})


def serve():
    return len(json.dumps(json.loads(TEXT)))


def main(seconds):
    end = time.monotonic() + seconds
    last, operations = time.process_time(), 0
    while time.monotonic() < end:
        for _ in range(20):
            serve()
        operations += 20
        now = time.process_time()
        if now - last >= 0.2:
            print(f"{time.time():.3f} {operations / (now - last):.1f}", flush=True)
            last, operations = now, 0


main(float(sys.argv[1]))
