"""Drops objects, which Python puts aside to use them again, and then keeps others of their kind."""

from steps import take_orders

COUNT = 20_000
kept = [None] * COUNT


def tuples():
    def drop(number):
        made = (number, number)  # drops tuples

    for number in range(COUNT):
        drop(number)
        kept[number] = (number, number)  # keeps tuples


def lists():
    def drop():
        made = []  # drops lists

    for number in range(COUNT):
        drop()
        kept[number] = []  # keeps lists


def dicts():
    def drop():
        made = {}  # drops dicts

    for number in range(COUNT):
        drop()
        kept[number] = {}  # keeps dicts


def floats():
    def drop(number):
        made = number + 0.5  # drops floats

    for number in range(COUNT):
        drop(number)
        kept[number] = number + 0.5  # keeps floats


take_orders(tuples=tuples, lists=lists, dicts=dicts, floats=floats)
