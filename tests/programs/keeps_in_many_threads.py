"""Keeps memory in many threads: some wait for each other, some end at once, and some run no Python
at all."""

import ctypes
import threading

from steps import take_orders

SIZE = 100_000
kept = []
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
Callback = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)


def keep_together(all_here):
    all_here.wait()
    kept.append(bytes(SIZE))  # keeps together
    all_here.wait()


def keep_without_gil(all_here):
    all_here.wait()
    kept.append(libc.malloc(ctypes.c_size_t(SIZE)))  # keeps without the GIL
    all_here.wait()


def run_together(work, count):
    all_here = threading.Barrier(count)
    threads = [threading.Thread(target=work, args=(all_here,)) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def keep_and_end():
    kept.append(bytes(SIZE))  # keeps and ends


def pass_by(count):
    for _ in range(count):
        threading.Thread(target=keep_and_end).start()
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join()


def start_foreign(function, argument):
    """Runs a C function in a thread that Python knows nothing of, and returns its result."""
    thread, result = ctypes.c_ulong(), ctypes.c_void_p()
    if libc.pthread_create(ctypes.byref(thread), None, function, ctypes.c_void_p(argument)):
        raise OSError("no thread")
    libc.pthread_join(thread, ctypes.byref(result))
    return result.value


@Callback
def callback(size):
    kept.append(bytes(size))  # called back
    return None


def run_foreign(count):
    for _ in range(count):
        kept.append(start_foreign(libc.malloc, SIZE))


def run_callbacks(count):
    for _ in range(count):
        start_foreign(callback, SIZE)


take_orders(
    together=lambda count: run_together(keep_together, int(count)),
    without_gil=lambda count: run_together(keep_without_gil, int(count)),
    passing=lambda count: pass_by(int(count)),
    foreign=lambda count: run_foreign(int(count)),
    callbacks=lambda count: run_callbacks(int(count)),
)
