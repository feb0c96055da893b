"""Stands between callhook and its database, sees each commit pass, and cuts the connection there when a test wants it, or falls silent.

A commit is a COMMIT, or the statement that writes a whole group by itself.
"""

import socket
import struct
import threading
from contextlib import suppress
from enum import Enum

from postgres import Server

COMMIT = b"COMMIT\0"
GROUP = b"WITH held AS"
# The server waits for the next statement, and no transaction is open.
IDLE = b"Z\0\0\0\x05I"
# What a client may send in place of the first message, and is answered with one byte: it asks for encryption.
WANTS_TLS = (80877103, 80877104)


class Cut(Enum):
    """Where a commit ends."""

    # The database never hears of it.
    ON_THE_WAY = "on the way"
    # The database has done it, and its answer is lost.
    ON_THE_WAY_BACK = "on the way back"


class Cutter:
    """A way to the server. From `begin` to `end`, of `every` commits that pass one is cut."""

    def __init__(self, server: Server):
        self.server = server
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.lock = threading.Lock()
        self.cut: Cut | None = None
        self.every = 1
        self.passed = self.cuts = 0
        self.passages: list[Passage] = []
        threading.Thread(target=self.listen, daemon=True).start()

    @property
    def url(self) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/postgres"

    def begin(self, cut: Cut, every: int = 1):
        with self.lock:
            self.cut, self.every = cut, every

    def end(self):
        with self.lock:
            self.cut = None

    def silence(self):
        """From now on nothing comes through the connections that there are, as where a router has forgotten them; others can be made."""
        for passage in self.passages:
            passage.is_silent = True

    def close(self):
        self.listener.close()

    def listen(self):
        # Until it is closed.
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                try:
                    server = socket.create_connection(("127.0.0.1", self.server.port))
                except OSError:
                    client.close()
                    continue
                passage = Passage(self, client, server)
                self.passages.append(passage)
                passage.start()

    def next(self) -> Cut | None:
        """What is to become of a commit that has come."""
        with self.lock:
            self.passed += 1
            if self.cut is None or self.passed % self.every:
                return None
            self.cuts += 1
            return self.cut


class Passage:
    """One connection through it: there message by message, back as it comes."""

    def __init__(self, cutter: Cutter, client: socket.socket, server: socket.socket):
        self.cutter, self.client, self.server = cutter, client, server
        self.keeps_back = threading.Event()
        self.is_silent = False
        for side in (client, server):
            # A message that is carried alone must not wait for the receipt of the one before.
            side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self):
        for way in (self.there, self.back):
            threading.Thread(target=self.carry, args=(way,), daemon=True).start()

    def carry(self, way):
        # Whichever side ends, the other one is told, unless nothing comes through.
        with suppress(OSError, EOFError):
            way()
        if self.is_silent:
            return
        for side in (self.client, self.server):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def there(self):
        reader = self.client.makefile("rb")

        def take(count: int) -> bytes:
            taken = reader.read(count)
            if len(taken) < count:
                raise EOFError
            return taken

        while True:
            # Only the first messages have no letter for their kind.
            length = take(4)
            message = length + take(struct.unpack("!I", length)[0] - 4)
            self.server.sendall(message)
            if struct.unpack("!I", message[4:8])[0] not in WANTS_TLS:
                break
        groups = set()
        while True:
            head = take(5)
            body = take(struct.unpack("!I", head[1:])[0] - 4)
            kind, (first, second, *_) = head[:1], body.split(b"\0", 2) + [b""]
            if kind == b"P" and second.startswith(GROUP):
                groups.add(first)
            if (kind, body) == (b"Q", COMMIT) or (kind == b"B" and second in groups):
                match self.cutter.next():
                    case Cut.ON_THE_WAY:
                        return
                    case Cut.ON_THE_WAY_BACK:
                        self.keeps_back.set()
            if not self.is_silent:
                self.server.sendall(head + body)

    def back(self):
        kept = b""
        while answer := self.server.recv(65536):
            if self.is_silent:
                continue
            if not self.keeps_back.is_set():
                self.client.sendall(answer)
                continue
            kept += answer
            # It is done, or has failed: the client will not know which.
            if IDLE in kept:
                return
