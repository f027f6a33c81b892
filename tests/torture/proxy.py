"""A small TCP proxy in a process of its own: `python -m tests.torture.proxy`, told on standard input what to do.

First line: {"links": {NAME: [LISTEN, UPSTREAM]}}. Then one object a line,
{"link": NAME, "do": cut|pass|refuse|stall|delay|upstream, …}. Each is answered by `ok`. `Proxy` is the other side.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from dataclasses import dataclass, field

CHUNK = 65536


@dataclass
class _Link:
    upstream: int
    mode: str = "pass"
    delay: float = 0.0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.mode == "refuse":
            writer.transport.abort()
            return
        try:
            upper, lower = await asyncio.open_connection("127.0.0.1", self.upstream)
        except OSError:
            writer.transport.abort()
            return
        pair = {writer, lower}
        self.open |= pair
        try:
            done, running = await asyncio.wait(
                [asyncio.ensure_future(self._pump(reader, lower)), asyncio.ensure_future(self._pump(upper, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in running:
                task.cancel()
            for task in done:
                task.exception()
        finally:
            self.open -= pair
            for each in pair:
                each.transport.abort() if self.mode == "refuse" else each.close()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while data := await source.read(CHUNK):
            while self.mode == "stall":
                await self.changed.wait()
            if self.delay:
                await asyncio.sleep(self.delay)
            sink.write(data)
            await sink.drain()

    def told(self, order: dict[str, object]) -> None:
        do = str(order["do"])
        if do == "cut" or do == "refuse":
            for writer in list(self.open):
                writer.transport.abort()
        if do == "upstream":
            self.upstream = int(str(order["port"]))
            for writer in list(self.open):
                writer.transport.abort()
        elif do == "delay":
            self.delay = float(str(order["seconds"]))
        elif do != "cut":
            self.mode = do
        event, self.changed = self.changed, asyncio.Event()
        event.set()


async def _main() -> None:
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    links = {name: (listen, _Link(up)) for name, (listen, up) in json.loads(await orders.readline())["links"].items()}
    servers = [await asyncio.start_server(link.serve, "127.0.0.1", listen, backlog=512) for listen, link in links.values()]
    print("ok", flush=True)
    while line := await orders.readline():
        order = json.loads(line)
        links[order["link"]][1].told(order)
        print("ok", flush=True)
    for server in servers:
        server.close()


class Proxy:
    """The proxy process, for who orders the faults."""

    def __init__(self, links: dict[str, tuple[int, int]]) -> None:
        command = [sys.executable, "-m", "tests.torture.proxy"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        self._lock = threading.Lock()
        self._say({"links": links})

    def order(self, link: str, do: str, **more: object) -> None:
        """Give an order and wait until it is in force."""
        self._say({"link": link, "do": do, **more})

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _say(self, message: dict[str, object]) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(message) + "\n")
            self._process.stdin.flush()
            if self._process.stdout.readline().strip() != "ok":
                raise RuntimeError("the proxy has died")


if __name__ == "__main__":
    asyncio.run(_main())
