"""Somebody who reloads the dashboard ten times a second until its input ends; then it says how long each one took.

python -m tests.faults.reloader PORT COOKIE
"""

from __future__ import annotations

import json
import select
import sys
import time
from http.client import HTTPConnection
from typing import Final

EVERY: Final = 0.1


def main(port: int, cookie: str) -> None:
    """Reload; every page must be there."""
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    took: list[float] = []
    due = time.monotonic()
    while not select.select([sys.stdin], [], [], max(0.0, due - time.monotonic()))[0]:
        began = time.monotonic()
        connection.request("GET", "/dashboard", headers={"cookie": cookie})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status
        took.append(time.monotonic() - began)
        due = max(due + EVERY, time.monotonic())
    connection.close()
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
