"""Serves clients on TCP and on a local socket, works for a broker, and counts what comes."""
import os
import socket
import tempfile
import threading

import steps

COUNTED = {"accepts": 0, "receives": 0, "bytes": 0, "messages": 0}
LOCK = threading.Lock()


def count(key, amount):
    with LOCK:
        COUNTED[key] += amount


def answer(client):
    with client:
        while data := client.recv(65536):
            count("receives", 1)
            count("bytes", len(data))
            client.sendall(b"k")


def serve(listener):
    while True:
        client, _ = listener.accept()
        count("accepts", 1)
        threading.Thread(target=answer, args=(client,), daemon=True).start()


def listen(family, address):
    listener = socket.socket(family)
    listener.bind(address)
    listener.listen(64)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    return listener


def work(address):
    """Takes messages of a broker and acknowledges them."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port))) as broker:
        while data := broker.recv(65536):
            if len(data) >= 64:
                count("messages", 1)
            broker.sendall(b"k")
    return "worked"


folder = tempfile.TemporaryDirectory()
local = os.path.join(folder.name, "local")
listeners = [
    listen(socket.AF_INET, ("127.0.0.1", 0)),
    listen(socket.AF_UNIX, local),
]
addresses = {"port": listeners[0].getsockname()[1], "local": local}


def counts():
    with LOCK:
        return COUNTED.copy()


steps.take_orders(addresses=lambda: addresses, counts=counts, work=work)
