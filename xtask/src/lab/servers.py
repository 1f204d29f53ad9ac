"""Serves a directory on several ports: servers.py DIRECTORY PORT:SECONDS...

SECONDS pass between a request and the first byte of its answer.
"""

import functools
import socket
import socketserver
import sys
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer


class Server(ThreadingHTTPServer):
    address_family = socket.AF_INET6
    # Those of a crowd come many at a time.
    request_queue_size = 512

    def server_bind(self):
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # HTTPServer's would ask for the name of the address.
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request, client_address):
        """Clients go away in the middle of an answer: that is what the scenes are about."""


class Handler(SimpleHTTPRequestHandler):
    def __init__(self, *arguments, thinking, **keywords):
        self.thinking = thinking
        super().__init__(*arguments, **keywords)

    def do_GET(self):
        time.sleep(self.thinking)
        super().do_GET()

    def log_message(self, *arguments):
        pass


for word in sys.argv[2:]:
    port, _, seconds = word.partition(":")
    handler = functools.partial(Handler, directory=sys.argv[1], thinking=float(seconds))
    server = Server(("::", int(port)), handler)
    threading.Thread(target=server.serve_forever).start()
print("listening", file=sys.stderr, flush=True)
