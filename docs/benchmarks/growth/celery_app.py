"""An application of Celery."""

import os

import celery
from celery.signals import worker_process_init

import support

app = celery.Celery("scenario", broker=os.environ[support.BROKER])
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_prefetch_multiplier = 1
behaviour = None


@worker_process_init.connect
def start(**_):
    global behaviour
    import behaviours

    behaviour = behaviours.make()


@app.task(name="job")
def job(kind):
    behaviour.answer(kind)
