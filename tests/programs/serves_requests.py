"""A WSGI application that keeps a string of a megabyte at each request, and answers with the worker's
pid and how much that keeps."""

import os
import sys

kept = []


def keep():
    kept.append("k" * 1_000_000)  # keeps


def application(environment, start_response):
    keep()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {sum(map(sys.getsizeof, kept))}".encode()]


# The server has its messages where the standard output was.
with open(3, "w") as output:
    print("ready", file=output)
