"""Forty lines that keep, replace or drop what they make, as a seed determines.

    seeded_sites.py SEED STEPS SECONDS sleep|work|tracemalloc

Says "ready", waits for a line, makes STEPS steps, which are spread over SECONDS by sleeping or by
other work that makes no objects. Prints "done" or, with tracemalloc, which does not wait, the bytes
that each line still holds.
"""

import collections
import json
import random
import sys
import time

SITES = 40
# It takes about 20 µs to find out that there is no one in it.
ZEROS = bytes(1 << 18)


def sleep_until(due):
    early = due - time.monotonic()
    if early > 0.001:
        time.sleep(early)


def work_until(due):
    while time.monotonic() < due:
        for _ in range(10):
            ZEROS.count(1)


def program(generator):
    """The text of a module with a function for each site, whose line is its number plus one."""
    lines = []
    for site in range(SITES):
        length = generator.choice([0, 10, 30, 60, 120, 250, 400])
        makes = generator.choice([f"'%0{length + 5}d' % n", f"(n, [n] * {length // 8 + 1})", f"b'%0{length + 5}d' % n"])
        lines.append(f"def site_{site}(n): return {makes}")
    return "\n" + "\n".join(lines)


def main(seed, steps, seconds, meanwhile):
    generator = random.Random(seed)
    names = {}
    exec(compile(program(generator), "sites.py", "exec"), names)
    makers = [names[f"site_{site}"] for site in range(SITES)]
    weights = [generator.paretovariate(1.0) for _ in makers]
    leaks = [generator.choice([0.0, 0.0, 0.01, 0.1, 0.5]) for _ in makers]
    caches = [collections.deque(maxlen=generator.choice([10, 1000])) for _ in makers]
    order = generator.choices(range(SITES), weights, k=100_003)
    draws = [generator.random() for _ in range(99_991)]
    kept = [None] * steps
    print("ready", flush=True)
    sys.stdin.readline()
    traced = meanwhile == "tracemalloc"
    wait_until = {"sleep": sleep_until, "work": work_until}.get(meanwhile)
    if traced:
        import tracemalloc

        tracemalloc.start()
    start = time.monotonic()
    for step in range(steps):
        site = order[step % 100_003]
        made = makers[site](step)
        if draws[step % 99_991] < leaks[site]:
            kept[step] = made
        else:
            caches[site].append(made)
        if wait_until and step % 64 == 0:
            wait_until(start + seconds * step / steps)
    if traced:
        statistics = tracemalloc.take_snapshot().statistics("lineno")
        found = {s.traceback[0].lineno: s.size for s in statistics if s.traceback[0].filename == "sites.py"}
        print(json.dumps(found), flush=True)
    else:
        print("done", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4])
