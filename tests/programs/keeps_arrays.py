"""Keeps and drops arrays of NumPy, and views of them."""

import numpy

from steps import take_orders

kept = []


def sum_of(arrays):
    """What they hold, each byte once."""
    return sum(array.nbytes for array in arrays)


def big():
    arrays = []
    for _ in range(20):
        arrays.append(numpy.empty(131_072))  # big
    kept.append(arrays)
    return sum_of(arrays)


def zero():
    arrays = []
    for _ in range(20):
        arrays.append(numpy.zeros((64, 1024)))  # zeros
    kept.append(arrays)
    return sum_of(arrays)


def small():
    arrays = []
    for _ in range(2000):
        arrays.append(numpy.empty(500))  # small
    kept.append(arrays)
    return sum_of(arrays)


def view():
    """Returns nothing: views hold no memory of their own."""
    base = numpy.empty(400_000)  # base
    views = []
    for first in range(100):
        views.append(base[first:].reshape(-1, 1))  # views
    kept.append(views)
    return base.nbytes


def drop():
    for _ in range(50):
        dropped = numpy.empty(100_000)  # drops
    return dropped.nbytes * 50


take_orders(big=big, zero=zero, small=small, view=view, drop=drop)
