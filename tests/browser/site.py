"""A site of the web: one page, and the npm packages as the modules that they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Final

from tests.browser.npm_packages import fetched

_PAGE: Final = """<!doctype html><meta charset="utf-8"><title>A page</title>
<script type="importmap">%s</script><script type="module">window.OpenAI = (await import("openai")).default</script>
"""


class _Files(SimpleHTTPRequestHandler):
    """The page at `/`, and below it the packages."""

    protocol_version = "HTTP/1.1"
    extensions_map = SimpleHTTPRequestHandler.extensions_map | {".mjs": "text/javascript"}

    def __init__(self, *args: Any, page: bytes, **kwargs: Any) -> None:
        self._page = page
        super().__init__(*args, **kwargs)

    def do_GET(self) -> None:
        if self.path != "/":
            super().do_GET()
            return
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(self._page)))
        self.end_headers()
        self.wfile.write(self._page)

    def log_message(self, *_: object) -> None:
        pass


def _import_map(packages: Path) -> dict[str, object]:
    """What `import "openai"` finds, by the package's own word."""
    said = json.loads((packages / "openai" / "package.json").read_text())
    return {"imports": {"openai": "/openai/" + said["exports"]["."]["default"].removeprefix("./")}}


@contextmanager
def served() -> Iterator[int]:
    """A running site; its port. It has two origins, since `localhost` and `127.0.0.1` are two hosts to a browser."""
    packages = fetched()
    page = (_PAGE % json.dumps(_import_map(packages))).encode()
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Files, directory=str(packages), page=page)) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
