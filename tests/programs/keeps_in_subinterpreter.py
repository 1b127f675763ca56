"""Keeps a megabyte in another interpreter of the same process, if it can have one."""

import importlib
import threading

from steps import take_orders

SETUP = """
kept = []
code = compile('\\n' * 9 + 'def keep(): kept.append(bytes(1_000_000))', 'inside.py', 'exec')
exec(code)
"""


def find_module():
    for name in ("_interpreters", "_xxsubinterpreters"):
        try:
            return importlib.import_module(name)
        except ImportError:
            pass
    return None


interpreters = find_module()
made = []


def run(source):
    run_string = getattr(interpreters, "exec", None) or interpreters.run_string
    run_string(made[0], source)  # runs it


def create():
    if interpreters is not None:
        made.append(interpreters.create())
        run(SETUP)
    return bool(made)


def keep_in_thread():
    thread = threading.Thread(target=run, args=("keep()",))
    thread.start()
    thread.join()


take_orders(create=create, keep=lambda: run("keep()"), thread=keep_in_thread)
