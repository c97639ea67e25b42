"""What is left of a call that is over: nothing, at once, and not only when the garbage collector comes by."""

from __future__ import annotations

import asyncio
import gc
from typing import Any
from weakref import ref

from bailiwick.apps.gateway.body import Room
from bailiwick.apps.gateway.call import Call, Said
from bailiwick.apps.gateway.reply import HttpReply
from bailiwick.apps.gateway.watch import Message, Watch
from bailiwick.apps.http.request_head import RequestHead
from bailiwick.services.authentication import Presented
from bailiwick.services.callers import Caller
from bailiwick.telemetry.observer import Observation
from tests.domain.samples import principal


async def whole_body() -> Message:
    return {"type": "http.request", "body": b"{}", "more_body": False}


async def to_nobody(message: Any) -> None:
    del message


async def no_handler(call: Call) -> None:
    del call


NOBODY = Presented(
    credential=None, address=lambda: None, slug=None, uid=None, sid=None, organization=None, project=None
)


async def carry_out(watch: Watch) -> None:
    seen = Observation("0" * 32)
    reply = HttpReply(to_nobody, seen)
    call = Call(
        seen=seen,
        said=Said(
            ip="127.0.0.1",
            slug=None,
            below="/v1/chat/completions",
            door="/v1/chat/completions",
            anthropic=False,
            handler=no_handler,
            query=b"",
            head=RequestHead(),
            caller=Caller(NOBODY),
        ),
        headers=(),
        receive=whole_body,
        reply=reply,
        watch=watch,
        max_body=1024,
        room=Room(1024),
        exchange=None,
    )
    await call.body(principal())
    await reply.answer(b"{}")
    call.end()
    assert reply.watched is not None
    reply.watched.leave()


async def test_nothing_is_left_of_a_call_that_is_over() -> None:
    watch = Watch(asyncio.get_running_loop())
    gc.collect()
    gc.disable()
    try:
        task = asyncio.create_task(carry_out(watch))
        await task
        ended = ref(task)
        del task
        await asyncio.sleep(0)  # It is what woke us.
        assert watch.size == 1  # It has not swept yet.
        assert ended() is None
        assert not [left for left in gc.get_objects() if type(left) in {Call, HttpReply}]
    finally:
        gc.enable()
