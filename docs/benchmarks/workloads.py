"""Steady loops that count their own operations: what services of Python do all day.

    workloads.py NAME SECONDS

Prints a line of JSON every quarter of a second: the clock (monotonic), operations, processor time
used, and how many operations took how long, in buckets of an eighth of a power of two nanoseconds.
"""

import json
import math
import sys
import time


def json_parse_and_dump():
    users = [
        {"id": i, "name": f"user{i}", "tags": ["a", "b", f"c{i}"], "score": i * 1.5, "path": {"x": [1, i]}}
        for i in range(60)
    ]
    text = json.dumps({"users": users})
    return lambda: json.dumps(json.loads(text))


def django_template():
    import django
    from django.conf import settings
    from django.template import Context, Engine

    settings.configure()
    django.setup()
    template = Engine().from_string(
        "{% for row in rows %}<tr>{% for cell in row %}<td>{{ cell }}</td>{% endfor %}</tr>{% endfor %}"
    )
    rows = [[f"cell {x} {y}" for x in range(5)] for y in range(10)]
    return lambda: template.render(Context({"rows": rows}))


def flask_client():
    import flask

    app = flask.Flask("bench")

    @app.get("/users/<int:user>")
    def user(user):
        return flask.jsonify(id=user, names=[f"name{i}" for i in range(20)])

    client = app.test_client()
    return lambda: client.get("/users/7").get_data()


def object_churn():
    class Point:
        def __init__(self, x, y):
            self.x, self.y = x, y

    return lambda: [Point(i, [i, str(i)]) for i in range(1000)]


def regex():
    import re

    pattern = re.compile(r"(?P<key>\w+)=(?P<value>[^;]*);")
    text = "".join(f"key{i}=some value {i};" for i in range(100))
    return lambda: [match.groupdict() for match in pattern.finditer(text)]


def asyncio_tasks():
    import asyncio

    loop = asyncio.new_event_loop()

    async def child(number):
        await asyncio.sleep(0)
        return [number]

    async def parent():
        return await asyncio.gather(*(child(i) for i in range(50)))

    return lambda: loop.run_until_complete(parent())


def numpy_arrays():
    import numpy

    left = numpy.arange(2000.0)
    return lambda: [(left * i + left).sum() for i in range(50)]


def pandas_group_by():
    import pandas

    frame = pandas.DataFrame({"key": [i % 50 for i in range(2000)], "value": range(2000)})
    return lambda: frame.groupby("key")["value"].agg(["sum", "mean"])


WORKLOADS = [
    json_parse_and_dump,
    django_template,
    flask_client,
    object_churn,
    regex,
    asyncio_tasks,
    numpy_arrays,
    pandas_group_by,
]


def repeat(operation, seconds):
    clock, log2 = time.perf_counter_ns, math.log2
    end = time.monotonic() + seconds
    while (now := time.monotonic()) < end:
        stop, cpu, operations, buckets = now + 0.25, time.process_time(), 0, {}
        while time.monotonic() < stop:
            start = clock()
            operation()
            bucket = int(log2(clock() - start) * 8)
            buckets[bucket] = buckets.get(bucket, 0) + 1
            operations += 1
        used = time.process_time() - cpu
        print(json.dumps([time.monotonic(), operations, used, buckets]), flush=True)


if __name__ == "__main__":
    named = {workload.__name__: workload for workload in WORKLOADS}
    repeat(named[sys.argv[1]](), float(sys.argv[2]))
