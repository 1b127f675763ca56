"""Keeps memory, and becomes another program when told to."""

import os

from steps import take_orders

kept = []


def keep():
    kept.append(bytes(1_000_000))  # keeps


def become_cat():
    os.execvp("sh", ["sh", "-c", "echo became; exec cat"])


take_orders(keep=keep, become=become_cat, end=lambda: os._exit(0))
