"""Maps and unmaps memory in every way there is, and counts what it holds of it."""

import ctypes
import mmap

from steps import take_orders

MIB = 1 << 20
PAGE = mmap.PAGESIZE
PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
MAY_MOVE = 1
FAILED = ctypes.c_void_p(-1).value

libc = ctypes.CDLL(None, use_errno=True)
size, pointer = ctypes.c_size_t, ctypes.c_void_p
libc.mmap.argtypes = pointer, size, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
libc.munmap.argtypes = pointer, size
libc.mremap.argtypes = pointer, size, size, ctypes.c_int
libc.mmap.restype = libc.mremap.restype = pointer

kept = []


def keep():
    for _ in range(16):
        kept.append(mmap.mmap(-1, 64 * MIB))  # keeps
    return 16 * 64 * MIB


def drop():
    for _ in range(16):
        dropped = mmap.mmap(-1, 64 * MIB)  # drops
        dropped.close()
    return 0


def map_pages(count):
    return libc.mmap(None, count * PAGE, mmap.PROT_READ, PRIVATE, -1, 0)  # maps


def unmap_parts():
    """Leaves three of nine pages: the second, the sixth and the seventh."""
    address = map_pages(9)
    for first, count in (0, 1), (2, 3), (7, 2):
        assert libc.munmap(address + first * PAGE, count * PAGE) == 0
    return 3 * PAGE


def remap():
    """Lets one block grow from 2 to 700 pages, and another shrink from 900 to 5."""
    growing, shrinking = map_pages(2), map_pages(900)
    grown = libc.mremap(growing, 2 * PAGE, 700 * PAGE, MAY_MOVE)  # moves
    shrunk = libc.mremap(shrinking, 900 * PAGE, 5 * PAGE, 0)
    assert FAILED not in (grown, shrunk)
    return (700 + 5) * PAGE


def replace():
    """Maps two pages onto the middle of six, which holds no more than before."""
    address = map_pages(6) + 2 * PAGE
    flags = PRIVATE | 0x10  # MAP_FIXED
    assert libc.mmap(address, 2 * PAGE, mmap.PROT_READ, flags, -1, 0) == address  # replaces
    return 6 * PAGE


def fail():
    assert libc.mmap(None, 1 << 62, mmap.PROT_READ, PRIVATE, -1, 0) == FAILED  # fails
    address = map_pages(4)
    assert libc.munmap(address + 1, PAGE) == -1
    assert libc.mremap(address, PAGE, 1 << 62, MAY_MOVE) == FAILED
    return 4 * PAGE


take_orders(keep=keep, drop=drop, unmap=unmap_parts, remap=remap, replace=replace, fail=fail)
