"""The stand-in for a model provider: one scripted, OpenAI-compatible HTTP/1.1 server that can misbehave at byte level.

It runs its own event loop in a thread of the test process (or `python -m tests.upstream --port N` as a process), so it
is a real server on a real socket, whatever loop or process the tested client lives in.

    with Upstream() as upstream:                            # port 0: any free one; see `upstream.base_url`
        upstream.on("gpt-x", Behaviour(chunks=3, gap=0.01)) # by the model named in the body
        upstream.on("gpt-y", scripts.error(429, retry_after=2), Behaviour())   # first call, then all the others
        upstream.on("/v1/files", Behaviour(body=b"{}"))     # or by exact path, for anything without a model
        ...
        await upstream.wait_for(lambda: upstream.open_connections() == 0)
        assert upstream.requests[0].json["model"] == "gpt-x"
        upstream.clear()                                    # forget records and scripts

`POST …/chat/completions` answers a completion, or a stream when the body says `"stream": true` (with a usage frame only
if `stream_options.include_usage` is true); `GET …/models` lists the scripted models; anything else is a 404 unless it
is scripted with a `body` or `frames`. What is not scripted gets `Behaviour()`: a well-behaved answer.

An answer is a head and frames: a stream has one frame for each event, any other answer has one frame, its body.
`Behaviour(ending=Ending.RESET, after=2.5)` sends two frames and half of the third, then resets the connection; with
`after=None` it never sends the head. `scripts` holds the usual kinds of trouble under their names.

Records (`upstream.requests`, oldest first) are filled in while the call goes on; times are `time.monotonic()` seconds.
"""

from tests.upstream import scripts
from tests.upstream.behaviour import Behaviour, Body, Ending, ToolCall, Usage
from tests.upstream.record import Record
from tests.upstream.server import Upstream

__all__ = ["Behaviour", "Body", "Ending", "Record", "ToolCall", "Upstream", "Usage", "scripts"]
