"""An application of Flask."""

import flask

import behaviours

app = flask.Flask(__name__)
behaviour = behaviours.make()
behaviours.run_ticks(behaviour)


@app.get("/<kind>")
def handle(kind):
    return behaviour.answer(kind)
