"""An application for uvicorn, which does its own background work in the event loop."""

import asyncio

import behaviours

behaviour = behaviours.make()
tasks = set()


async def forever():
    while True:
        await asyncio.sleep(behaviours.TICK)
        behaviour.tick()


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        if behaviours.has_ticks(behaviour):
            tasks.add(asyncio.create_task(forever()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    body = behaviour.answer(scope["path"].strip("/"))
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})
