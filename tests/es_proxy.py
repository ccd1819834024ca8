"""A man in the middle on loopback: passes requests on to a server, and delays, cuts or answers them itself."""

import contextlib
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

Rule = Callable[[bytes, int], Any]
"""Gets the beginning of a request and its number, and says what happens to it: None (passed on), a number (of seconds to
wait first), ``"cut"`` (the connection ends before the request is passed on), ``"cut reply"`` (it is passed on, and the
connection ends instead of a reply), or ``(status, body)``."""


class Proxy:
    def __init__(self, server: str, rule: Rule, tls: ssl.SSLContext | None = None) -> None:
        host, port = server.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._rule = rule
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self.port = self._socket.getsockname()[1]
        self.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{self.port}"
        self.requests: list[str] = []
        self._lock = threading.Lock()

    def serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                taken, _ = self._socket.accept()
                threading.Thread(target=self._connection, args=(taken,), daemon=True).start()

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def _connection(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            if self._tls is not None:
                client = self._tls.wrap_socket(client, server_side=True)
            self._passed_on(client)

    def _passed_on(self, client: socket.socket) -> None:
        with client, socket.create_connection(self._target) as server:
            while (message := _message(client)) is not None:
                with self._lock:
                    number = len(self.requests)
                    self.requests.append(message.split(b" HTTP/")[0].decode())
                done = self._rule(message[:2000], number)
                if isinstance(done, tuple):
                    client.sendall(_reply(*done))
                    continue
                if done == "cut":
                    return
                if isinstance(done, (int, float)):
                    time.sleep(done)
                server.sendall(message)
                reply = _message(server)
                if reply is None or done == "cut reply":
                    return
                client.sendall(reply)


@contextlib.contextmanager
def between(server: str, rule: Rule, tls: ssl.SSLContext | None = None) -> Iterator[Proxy]:
    """With `tls` the proxy speaks https to its clients."""
    proxy = Proxy(server, rule, tls)
    threading.Thread(target=proxy.serve, daemon=True).start()
    try:
        yield proxy
    finally:
        proxy.close()


def _reply(status: int, body: Any) -> bytes:
    data = json.dumps(body).encode()
    head = (
        f"HTTP/1.1 {status} X\r\nX-Elastic-Product: Elasticsearch\r\n"
        f"Content-Type: application/vnd.elasticsearch+json;compatible-with=9\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    return head.encode() + data


def _message(end: socket.socket) -> bytes | None:
    """One request or reply, whole; None where the connection ended."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = end.recv(65_536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lowered = head.lower()
    if b"transfer-encoding: chunked" in lowered:
        while not body.endswith(b"0\r\n\r\n"):
            body += end.recv(65_536)
        return head + b"\r\n\r\n" + body
    if lowered.startswith((b"head ", b"get ")) and b"content-length" not in lowered:
        return data
    length = int(next((line[15:] for line in lowered.split(b"\r\n") if line.startswith(b"content-length:")), b"0"))
    pieces, got = [body], len(body)
    while got < length:
        more = end.recv(1_000_000)
        if not more:
            return None
        pieces.append(more)
        got += len(more)
    return head + b"\r\n\r\n" + b"".join(pieces)
