"""Starts another program with the command that it is given, and passes orders on to it."""

import subprocess
import sys

from steps import take_orders

kept = []
children = []


def start():
    child = subprocess.Popen(sys.argv[1:], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout.readline() == "ready\n"
    children.append(child)
    return child.pid


def work():
    kept.append(bytes(3_000_000))  # keeps
    for child in children:
        child.stdin.write("handle\n")
        child.stdin.flush()
        child.stdout.readline()


take_orders(start=start, work=work)
