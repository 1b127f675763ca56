"""A server of the standard library, with a thread for each request; argument: what it listens to."""

import http.server
import socket
import sys

import behaviours

behaviour = behaviours.make()
behaviours.run_ticks(behaviour)


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = behaviour.answer(self.path.strip("/"))
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket.close()
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.server_name, server.server_port = server.socket.getsockname()
server.serve_forever()
