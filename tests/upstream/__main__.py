"""The stand-in as a process: `python -m tests.upstream --port 9100`; the model's name chooses the behaviour."""

from __future__ import annotations

import argparse
import signal
import sys

from tests.upstream.behaviour import Behaviour
from tests.upstream.scripts import CATALOGUE
from tests.upstream.server import Upstream


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.upstream", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=9100)
    parser.add_argument("--delay", type=float, default=0.0, help="seconds before the first byte, for unscripted models")
    parser.add_argument("--gap", type=float, default=0.0, help="seconds between two chunks of a stream, for them too")
    parser.add_argument("--chunks", type=int, default=5, help="chunks of a stream, for them too")
    parser.add_argument("--list", action="store_true", help="name the scripted models and leave")
    options = parser.parse_args()
    if options.list:
        sys.stdout.write("\n".join(sorted(CATALOGUE)) + "\n")
        return
    signals = {signal.SIGINT, signal.SIGTERM}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)  # in every thread, so that they arrive at `sigwait` alone
    with Upstream(host=options.host, port=options.port) as upstream:
        upstream.otherwise(Behaviour(delay=options.delay, gap=options.gap, chunks=options.chunks))
        for model, behaviour in CATALOGUE.items():
            upstream.on(model, behaviour)
        sys.stdout.write(f"ready {upstream.base_url}\n")
        sys.stdout.flush()
        signal.sigwait(signals)


if __name__ == "__main__":
    main()
