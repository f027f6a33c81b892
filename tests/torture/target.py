"""The counting target, a process of its own: does the work of one dispatch id once, and writes down all that it sees.

`python -m tests.torture.target FOLDER`: FOLDER/target.json tells port, secret, keys, audiences and seed. Record:
FOLDER/record.jsonl, one line a happening with monotonic times, flushed before it is acted on; FOLDER/tokens holds every bearer
token that came. How it treats a commit is decided by the seed (`behaviour`), so that the checker knows it too.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socket
import sys
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt

BUSY_TIMES = 2
WORK_SECONDS = {"slow": 2.2, "late": 0.3, "drop": 0.2}
LEEWAY_SECONDS = 200  # steps of the workers' clocks
BEHAVIOURS = ("fast",) * 62 + ("slow",) * 14 + ("late",) * 6 + ("busy",) * 6 + ("drop",) * 8 + ("fail",) * 4


def behaviour(seed: int, target: str, sha: str) -> str:
    """Decide how this target treats this commit."""
    digest = hashlib.sha256(f"{seed}:{target}:{sha}".encode()).digest()
    return BEHAVIOURS[int.from_bytes(digest[:4], "big") % len(BEHAVIOURS)]


class Work:
    """What is known of one dispatch id."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.state = "new"
        self.refusals = 0
        self.ended = threading.Event()
        self.connection: socket.socket | None = None


class Ledger:
    """The record and the state of all targets in this process."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.settings: dict[str, Any] = json.loads((folder / "target.json").read_text())
        self._keys = {k["kid"]: jwt.PyJWK(k) for k in self.settings["keys"]}
        self._record = (folder / "record.jsonl").open("a")
        self._tokens = (folder / "tokens").open("a")
        self._lock = threading.Lock()
        self.works: dict[str, Work] = {}
        self.mode = "well"

    def write(self, what: str, target: str, data: dict[str, Any], **more: Any) -> None:
        """Write one line and flush it: what is recorded has happened even if this process dies."""
        line = {"at": time.monotonic(), "what": what, "target": target, "dispatch": data.get("dispatch_id", ""), **more}
        line |= {"sha": data.get("sha", ""), "deployment": data.get("deployment_id", "")}
        with self._lock:
            self._record.write(json.dumps(line) + "\n")
            self._record.flush()

    def work(self, dispatch: str) -> Work:
        """Return the (one) work of a dispatch id."""
        with self._lock:
            return self.works.setdefault(dispatch, Work())

    def how(self, target: str, sha: str) -> str:
        """Say how this commit is to be treated now."""
        if self.mode in ("busy", "drop", "fail", "slow"):
            return self.mode
        if f"{target} {sha}" in self.settings["bad"]:
            return "fail"
        return "fast" if sha in self.settings["good"] else behaviour(self.settings["seed"], target, sha)

    def fault_in(self, headers: dict[str, str], body: bytes, data: dict[str, Any]) -> str | None:
        """Verify signature and token as a careful service would; return what is wrong."""
        dispatch, stamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        secret = self.settings["secret"].encode()
        signed = hmac.digest(secret, f"{dispatch}.{stamp}.".encode() + body, "sha256")
        if not hmac.compare_digest(headers.get("webhook-signature", ""), "v1," + base64.b64encode(signed).decode()):
            return "signature"
        if dispatch != data["dispatch_id"] or headers.get("idempotency-key") != dispatch:
            return "dispatch id"
        token = headers.get("authorization", "").removeprefix("Bearer ")
        with self._lock:
            self._tokens.write(token + "\n")
            self._tokens.flush()
        return self._token_fault(token, data)

    def _token_fault(self, token: str, data: dict[str, Any]) -> str | None:
        must = self.settings["environments"][data["environment"]]
        try:
            key = self._keys[jwt.get_unverified_header(token)["kid"]]
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=must["audience"],
                issuer=self.settings["issuer"],
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iat", "nbf", "sub", "aud", "jti"]},
            )
        except (jwt.InvalidTokenError, KeyError) as fault:
            return f"token: {type(fault).__name__} {fault}"
        if claims["exp"] - claims["iat"] > 600:
            return "token: lives too long"
        wanted = {"sub": must["subject"], **{n: data[n] for n in ("sha", "ref", "environment", "deployment_id")}}
        wrong = [name for name, value in wanted.items() if claims.get(name) != value]
        return f"token: wrong {', '.join(wrong)}" if wrong else None


class Handler(BaseHTTPRequestHandler):
    """One request; `ledger` is set before the server starts."""

    ledger: Ledger

    def do_PUT(self) -> None:
        self.ledger.mode = self._body().decode()
        self._answer(200)

    def do_POST(self) -> None:
        if self.ledger.mode == "down":
            return self._hang_up()
        body = self._body()
        target, data = self.path.strip("/"), json.loads(body)["data"]
        fault = self.ledger.fault_in({k.lower(): v for k, v in self.headers.items()}, body, data)
        if fault is not None:
            self.ledger.write("bad", target, data, note=fault)
            return self._answer(401)
        self._take(target, data, self.ledger.work(data["dispatch_id"]))

    def _take(self, target: str, data: dict[str, Any], work: Work) -> None:
        """Begin the work if nobody has, or say what came of it."""
        how = self.ledger.how(target, data["sha"])
        with work.lock:
            state = work.state
            if state == "new" and how == "busy" and (work.refusals < BUSY_TIMES or self.ledger.mode == "busy"):
                work.refusals += 1
                self.ledger.write("busy", target, data)
                return self._answer(503)
            if state == "new":
                work.state, work.connection = "running", self.connection
        if state == "new":
            return self._work(target, data, work, how)
        if state == "running":
            self.ledger.write("joined", target, data, note="alone" if _is_gone(work.connection) else "two callers")
            work.ended.wait(30)
        else:
            self.ledger.write("again", target, data, note=state)
        self._answer(200 if work.state == "done" else 500)

    def _work(self, target: str, data: dict[str, Any], work: Work, how: str) -> None:
        time.sleep(1.2 if how == "late" else 0)
        self.ledger.write("start", target, data)
        time.sleep(WORK_SECONDS.get(how, 0.01))
        work.state = "failed" if how == "fail" else "done"
        self.ledger.write(work.state, target, data)
        work.ended.set()
        if how == "drop":
            return self._hang_up()
        self._answer(500 if how == "fail" else 200)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["content-length"]))

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, status: int) -> None:
        try:
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()
        except OSError:
            self.close_connection = True

    def log_message(self, *args: object) -> None:
        """Say nothing: the record says it."""

    def handle(self) -> None:
        with suppress(OSError, json.JSONDecodeError):  # the gate was killed, or gave up, and the body is not whole
            super().handle()


def _is_gone(connection: socket.socket | None) -> bool:
    """Tell whether the caller has hung up."""
    try:
        return connection is None or connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True


def main(folder: Path) -> None:
    """Serve until killed."""
    Handler.ledger = Ledger(folder)
    _Server(("127.0.0.1", Handler.ledger.settings["port"]), Handler).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
