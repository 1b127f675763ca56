"""Maps 1 GiB in blocks of 1 MiB and drops half of it; maps through ctypes and unmaps pages in the
middle; fails to map and to unmap. Counts what is left."""

import ctypes
import mmap
import sys

PAGE = mmap.PAGESIZE
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
ANONYMOUS = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS

print("ready", flush=True)
sys.stdin.readline()
live = 0
blocks = []
for _ in range(1024):
    blocks.append(mmap.mmap(-1, 1 << 20))
    live += 1 << 20
for block in blocks[::2]:
    block.close()
    live -= 1 << 20
for _ in range(64):
    address = libc.mmap(None, 3 * PAGE + 5, mmap.PROT_READ, ANONYMOUS, -1, 0)
    libc.munmap(address + PAGE, PAGE)
    live += 3 * PAGE
libc.munmap(0xFFFFFFFFFF000, 1 << 62)
libc.mmap(None, 0, mmap.PROT_READ, ANONYMOUS, -1, 0)
print(live, flush=True)
sys.stdin.readline()
