"""An event loop with a task that polls for something, and no other work."""

import asyncio
import sys

import behaviours

behaviour = behaviours.make()


async def poll():
    while True:
        await asyncio.sleep(behaviours.TICK)
        behaviour.tick()


print("ready", flush=True)
sys.stdin.readline()
asyncio.run(poll())
