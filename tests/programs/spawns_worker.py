"""Starts a worker that is a new Python, and lets it keep memory when told to."""

import multiprocessing

kept = []


def work(connection):
    connection.send("ready")
    while connection.recv():
        kept.append(bytes(5_000_000))  # the worker
        connection.send(len(kept))


def main():
    from steps import take_orders

    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    worker = context.Process(target=work, args=(there,), daemon=True)

    def start():
        worker.start()
        assert here.recv() == "ready"
        return worker.pid

    def order():
        here.send(True)
        return here.recv()

    take_orders(start=start, work=order)


if __name__ == "__main__":
    main()
