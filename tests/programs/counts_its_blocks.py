"""Says how many blocks its allocator has handed out."""

import sys

from steps import take_orders

kept = []
take_orders(
    keep=lambda: kept.extend([str(number)] for number in range(100_000)),
    count=sys.getallocatedblocks,
)
