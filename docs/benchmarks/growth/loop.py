"""A service of an event loop that nobody calls, with a task that polls for something."""

import asyncio
import sys

import behaviours

behaviour = behaviours.make()


async def poll():
    # Nobody calls, but it could be called: only then it is idle.
    async with await asyncio.start_server(lambda *_: None, "127.0.0.1", 0):
        while True:
            await asyncio.sleep(behaviours.TICK)
            behaviour.tick()


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(poll())
