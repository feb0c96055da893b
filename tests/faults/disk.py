"""What a disk holds when the power goes: replays the recorded writes and syncs of a run, and drops or tears what was not synced yet.

The order of events is that of the kernel's calls, as strace saw it. What a sync had finished is there; of what was written since,
each write may be there or not, whatever its order, and the last one may be there in part. A file that was made or removed is
that for certain only once its folder was synced, and so is the folder.
"""

import random
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

STRACE = (
    "strace", "-D", "-f", "-y", "-xx", "-s", "1000000", "--seccomp-bpf",
    "-e", "trace=openat,write,writev,sendto,sendmsg,pwrite64,fsync,fdatasync,ftruncate,unlink,rename", "-o",
)
# What the store is made of. The shared-memory file is made anew by whoever opens the store first.
NAMES = ("callhook.db", "callhook.db-wal")
SECTOR_BYTES = (512, 4096)
LINE = re.compile(r"^(\d+) +(?:<\.\.\. (\w+) resumed>(.*)|(\w+)\((.*))$")
ENDED = re.compile(r"^(.*)\) += (.*)$")
STRING = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')
FIRST_FILE = re.compile(r"^\d+<((?:\\x[0-9a-f]{2})*)>")
DELIVERY = re.compile(rb'"call_id":"([0-9a-f-]{36})".*?"delivery_id":"([0-9a-f-]{36})"', re.DOTALL)
REQUEST_ID = re.compile(rb"x-request-id: ([^\r]+)", re.IGNORECASE)
CALL = re.compile(rb'"call":\{"id":"([0-9a-f-]{36})"(?:.*?"summary":(null|"[^"]*"))?')


@dataclass
class Event:
    # `write`, `truncate`, `sync`, `make`, `remove`; `said` is what somebody outside was told.
    kind: str
    name: str = ""
    at: int = 0
    data: bytes = b""


def read_trace(path: Path, folder: Path) -> list[Event]:
    """The events of one run, each in the moment at which its call had ended; what was said, at which it began."""
    events, begun = [], {}
    for line in path.read_text().splitlines():
        if not (match := LINE.match(line)):
            continue
        thread, resumed, rest, call, args = match.groups()
        if call:
            is_message = call in ("write", "writev", "sendto", "sendmsg")
            if is_message and (said := b"".join(map(unhex, STRING.findall(args)))).startswith((b"HTTP/1.1 2", b"POST ")):
                events.append(Event("said", data=said))
            if args.endswith("<unfinished ...>"):
                begun[thread] = call, args.removesuffix("<unfinished ...>")
                continue
        else:
            call, args = begun.pop(thread, (resumed, ""))
            args += rest
        if event := read_call(call, args, folder):
            events.append(event)
    return events


def read_call(call: str, args: str, folder: Path) -> Event | None:
    if not (ended := ENDED.match(args)) or ended[2].startswith(("-1", "?")):
        return None
    args, result = ended[1].rstrip(), ended[2]
    if call == "openat" and "O_CREAT" in args:
        name = name_of(unhex(STRING.search(args)[1]), folder)
        return Event("make", name) if name else None
    if call == "unlink":
        name = name_of(unhex(STRING.search(args)[1]), folder)
        return Event("remove", name) if name else None
    assert call != "rename" or not name_of(unhex(STRING.findall(args)[-1]), folder), "a file of the store was renamed: teach it to the disk"
    file = FIRST_FILE.match(args)
    if not file:
        return None
    if call in ("fsync", "fdatasync") and unhex(file[1]) in (bytes(folder), bytes(folder.parent)):
        return Event("sync folder" if unhex(file[1]) == bytes(folder) else "sync parent")
    name = name_of(unhex(file[1]), folder)
    if name is None:
        return None
    assert call != "write", "the store was written without an offset: teach it to the disk"
    if call == "pwrite64":
        return Event("write", name, int(args.rsplit(",", 1)[1]), unhex(STRING.search(args)[1])[: int(result.split()[0])])
    if call == "ftruncate":
        return Event("truncate", name, int(args.rsplit(",", 1)[1]))
    return Event("sync", name) if call in ("fsync", "fdatasync") else None


def unhex(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def name_of(path: bytes, folder: Path) -> str | None:
    path = Path(path.decode())
    return path.name if path.parent == folder and path.name in NAMES else None


class Told:
    """What people outside know by now: it must be there after any loss of power."""

    def __init__(self):
        self.calls: dict[str, str | None] = {}
        # By delivery, its call.
        self.deliveries: dict[str, str] = {}
        # Requests that were answered without a body, as an erasure is.
        self.done: set[str] = set()

    def hear(self, said: bytes):
        if said.startswith(b"POST "):
            self.deliveries |= {id.decode(): call.decode() for call, id in DELIVERY.findall(said)}
        if said.startswith(b"HTTP/1.1 204"):
            self.done |= {id.decode() for id in REQUEST_ID.findall(said)}
        for id, summary in CALL.findall(said):
            summary = summary.decode().strip('"')
            known = self.calls.setdefault(id.decode(), None)
            self.calls[id.decode()] = known if summary in ("", "null") else summary


class Disk:
    def __init__(self):
        self.synced: dict[str, bytearray] = {}
        self.unsynced: dict[str, list[Event]] = defaultdict(list)
        # Whether a name was there when the folder was synced last.
        self.named: set[str] = set()
        self.names: set[str] = set()
        # Whether the folder itself was there when its parent was synced last.
        self.has_folder = False
        self.told = Told()

    def take(self, event: Event):
        if event.kind == "said":
            self.told.hear(event.data)
        elif event.kind == "sync parent":
            self.has_folder = True
        elif event.kind == "sync folder":
            self.named = set(self.names)
        elif event.kind == "make":
            if event.name not in self.names:
                self.synced[event.name], self.unsynced[event.name] = bytearray(), []
            self.names.add(event.name)
        elif event.kind == "remove":
            self.names.discard(event.name)
        elif event.kind == "sync":
            apply(self.synced[event.name], self.unsynced.pop(event.name, []))
        else:
            self.unsynced[event.name].append(event)

    def after_loss(self, kept: str, chance: random.Random) -> dict[str, bytes]:
        """The files as they are found again. `kept` says which of the unsynced: `none`, `all`, `some`, or `torn`: up to a torn write."""
        if kept == "none" and not self.has_folder:
            return {}
        files = {}
        for name in self.names | self.named:
            is_settled = name in self.names and name in self.named
            if not is_settled and (kept == "none" and name not in self.named or kept == "all" and name not in self.names):
                continue
            if not is_settled and kept in ("some", "torn") and chance.random() < 0.5:
                continue
            content = bytearray(self.synced.get(name, b""))
            apply(content, choose(self.unsynced.get(name, []), kept, chance))
            files[name] = bytes(content)
        return files


def choose(events: list[Event], kept: str, chance: random.Random) -> list[Event]:
    if kept == "none":
        return []
    if kept == "some":
        return [event for event in events if chance.random() < 0.5]
    if kept == "torn" and events:
        events = events[: chance.randint(1, len(events))]
        last, sector = events[-1], chance.choice(SECTOR_BYTES)
        return [*events[:-1], Event(last.kind, last.name, last.at, last.data[: chance.randrange(0, len(last.data) + 1, sector)])]
    return events


def apply(content: bytearray, events: list[Event]):
    for event in events:
        if event.kind == "truncate":
            del content[event.at :]
            content.extend(bytes(event.at - len(content)))
        elif event.data:
            content.extend(bytes(max(0, event.at - len(content))))
            content[event.at : event.at + len(event.data)] = event.data
