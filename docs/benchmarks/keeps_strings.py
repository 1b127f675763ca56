"""Keeps a string of 1 MB twenty times a second, beside work that keeps nothing."""

import sys
import time

kept = []


def keep():
    kept.append("x" * (1 << 20))


def work():
    return sum(len(str(number) * 3) for number in range(300))


print("ready", flush=True)
sys.stdin.readline()
for _ in range(100):
    keep()
    work()
    time.sleep(0.05)
print(sum(map(sys.getsizeof, kept)), flush=True)
sys.stdin.readline()
