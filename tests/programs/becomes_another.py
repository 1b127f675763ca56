"""Keeps memory, and becomes another program when told to."""

import os

from steps import take_orders

kept = []


def keep():
    kept.append(bytes(1_000_000))  # keeps


take_orders(keep=keep, become=lambda *command: os.execvp(command[0], command))
