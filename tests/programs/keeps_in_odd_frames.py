"""Keeps one megabyte from each kind of frame whose name or line is hard to find, and says what the
stack is there. The megabyte is an object, or a mapping if an argument says so."""

import asyncio
import functools
import mmap
import sys

from steps import take_orders

MEGABYTE = 1_000_000
stacks = {}
kept = []
# Neither has a frame.
make = functools.partial(mmap.mmap, -1) if "mapped" in sys.argv else bytes


def here(kind):
    """Notes the stack of the caller as the interpreter knows it, outermost frame first."""
    frame, stack = sys._getframe(1), []
    while frame:
        code = frame.f_code
        name = getattr(code, "co_qualname", code.co_name)
        stack.append((name, code.co_filename or "<no file>", frame.f_lineno))
        frame = frame.f_back
    stacks.setdefault(kind, stack[::-1])


def größe():
    kept.append((here("Latin-1 name"), make(MEGABYTE)))


def 計算():
    kept.append((here("name of two bytes per character"), make(MEGABYTE)))


def 𠮟る():
    kept.append((here("name of four bytes per character"), make(MEGABYTE)))


def run(source, file):
    code = compile(source, file, "exec")
    # Nobody can name code that is gone.
    kept.append(code)
    exec(code, globals())


def run_made_up_code():
    # A little more than the others, so that a summary shows them.
    keeps = "kept.append((here({!r}), make(MEGABYTE + 5_000)))\n"
    run("\n" * 70_000 + keeps.format("late line"), "made up/naïve → 🐍.py")
    run(keeps.format("file name of many lines"), "<one\n\x1b[31mtwo\t>")
    run(keeps.format("file without a name"), "")
    long = "long_" * 2_000
    run(f"def {long}():\n  {keeps.format('long name')}\n{long}()", "<long>")


def comprehend():
    kept.append([(here("list"), make(MEGABYTE)) for _ in range(1)])
    kept.append({0: (here("dict"), make(MEGABYTE)) for _ in range(1)})
    kept.append({(here("set"), make(MEGABYTE)) for _ in range(1)})
    kept.append([[(here("nested list"), make(MEGABYTE)) for _ in range(1)] for _ in range(1)])
    kept.extend((here("generator expression"), make(MEGABYTE)) for _ in range(1))
    kept.append((lambda: (here("lambda"), make(MEGABYTE)))())


def decorate(function):
    @functools.wraps(function)
    def wrapper(*arguments):
        return function(*arguments)

    return wrapper


@functools.lru_cache(maxsize=None)
@decorate
def decorated(kind):
    return here(kind), make(MEGABYTE)


class Class:
    def __init__(self, kind):
        self.value = kind and (here(kind), make(MEGABYTE))

    @property
    def read(self):
        return here("property"), make(MEGABYTE)

    def __del__(self):
        kept.append(self.value and (here("destructor"), make(MEGABYTE)))

    def __eq__(self, other):
        kept.append((here("comparison"), make(MEGABYTE)))
        return True


def call_methods():
    # After some rounds the interpreter takes a shortcut into the constructor.
    for kind in [None] * 99 + ["constructor"]:
        made = Class(kind)
    kept.append(made.value)
    kept.append(made.read)
    [made].index(Class)
    del made


def delegate():
    yield from generate()


def generate():
    yield
    yield here("generator"), make(MEGABYTE)


async def stream():
    await asyncio.sleep(0)
    yield here("async generator"), make(MEGABYTE)


async def awaited():
    await asyncio.sleep(0)
    return here("awaited coroutine"), make(MEGABYTE)


class Awaitable:
    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return here("awaitable object"), make(MEGABYTE)


class Context:
    async def __aenter__(self):
        await asyncio.sleep(0)
        return here("entered context"), make(MEGABYTE)

    async def __aexit__(self, *_):
        await asyncio.sleep(0)
        kept.append((here("left context"), make(MEGABYTE)))


async def outer():
    async with Context() as entered:
        kept.append(entered)
        return await middle()


async def middle():
    kept.append(await Awaitable())
    return await asyncio.wait_for(inner(), None)


async def inner():
    return await innermost()


async def innermost():
    # The loop takes the task up again when the time has come.
    await asyncio.sleep(0.001)
    return here("nested awaits"), make(MEGABYTE)


async def run_tasks():
    kept.append(await outer())
    async for item in stream():
        kept.append(item)
    kept.append(await awaited())
    kept.extend(await asyncio.gather(awaits("gathered task")))
    kept.append([(here("async comprehension"), make(MEGABYTE)) async for _ in stream()])


async def awaits(kind):
    await asyncio.sleep(0)
    return here(kind), make(MEGABYTE)


def key(_):
    kept.append((here("sort key"), make(MEGABYTE)))
    return 0


def mapped(_):
    kept.append((here("map"), make(MEGABYTE)))


def partial(kind):
    kept.append((here(kind), make(MEGABYTE)))


def call_through_c():
    sorted([0], key=key)
    list(map(mapped, [0]))
    functools.partial(partial, "partial")()


def everything():
    größe()
    計算()
    𠮟る()
    run_made_up_code()
    comprehend()
    kept.append(decorated("decorator"))
    call_methods()
    kept.extend(delegate())
    asyncio.run(run_tasks())
    call_through_c()
    return stacks


take_orders(everything=everything)
