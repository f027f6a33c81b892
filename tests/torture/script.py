"""What the command target runs: note the start, work a little, note the end. `python script.py FOLDER`, token on stdin."""

import json
import os
import sys
import time

folder = sys.argv[1]
token = sys.stdin.readline().strip()


def note(path: str, line: str) -> None:
    """Append in one write, so that lines of several processes do not mix."""
    with open(f"{folder}/{path}", "a") as file:
        file.write(line + "\n")


def happened(what: str) -> None:
    """Write a line like those of `target.py`."""
    names = {"dispatch": "DISPATCH_ID", "sha": "SHA", "deployment": "DEPLOYMENT_ID", "target": "TARGET"}
    line = {"at": time.monotonic(), "what": what, **{k: os.environ[f"TIDEGATE_{v}"] for k, v in names.items()}}
    note("script.jsonl", json.dumps(line))


note("tokens", token)
happened("start")
time.sleep(0.15)
happened("done")
