"""The usual kinds of trouble that a provider makes, under their names."""

from __future__ import annotations

from typing import Final

from tests.upstream import payloads
from tests.upstream.behaviour import Behaviour, Ending
from tests.upstream.record import Record

INTERNAL_ADDRESS: Final = "10.11.12.13:8443"
"""The address that `leaky_error` gives away, beside the key that the request carried."""
HTML: Final = b"<!doctype html><html><head><title>502 Bad Gateway</title></head><body>cloudflare</body></html>"


def error(
    status: int,
    message: str = "The provider refuses.",
    *,
    kind: str = "invalid_request_error",
    code: str | None = None,
    param: str | None = None,
    retry_after: float | str | None = None,
) -> Behaviour:
    """Answer an error in OpenAI's shape."""
    headers = () if retry_after is None else (("retry-after", str(retry_after)),)
    body = payloads.error(message, kind=kind, code=code, param=param)
    return Behaviour(status=status, body=body, headers=headers)


def leaky_error(status: int = 401) -> Behaviour:
    """Answer an error that repeats the key it was sent and an address of the provider's own network."""

    def body(request: Record) -> bytes:
        credential = request.header("authorization") or request.header("x-api-key") or ""
        key = credential.removeprefix("Bearer ")
        return payloads.error(f"Incorrect API key provided: {key}. (backend http://{INTERNAL_ADDRESS}/v1)")

    return Behaviour(status=status, body=body)


def error_in_200() -> Behaviour:
    """Answer 200 with an error object."""
    return Behaviour(body=payloads.error("The model is overloaded.", kind="server_error", code="overloaded"))


def error_in_stream(chunks: int = 2) -> Behaviour:
    """Stream some text, then an error event, then nothing: no `[DONE]`."""
    text = [payloads.event({"choices": [{"index": 0, "delta": {"content": f" word{n}"}}]}) for n in range(chunks)]
    failure = b"data: " + payloads.error("The server had an error.", kind="server_error") + b"\n\n"
    return Behaviour(frames=(*text, failure))


def garbage() -> Behaviour:
    """Answer 200 with bytes that are no JSON, labelled as JSON."""
    return Behaviour(body=bytes(range(256)))


def html() -> Behaviour:
    """Answer 200 with a page."""
    return Behaviour(body=HTML, headers=(("content-type", "text/html"),))


def not_http() -> Behaviour:
    """Answer what is no HTTP at all."""
    return Behaviour(wire=b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", ending=Ending.STALL)


def truncated_json() -> Behaviour:
    """Answer half of a JSON body in a well-formed message."""
    return Behaviour(ending=Ending.EARLY, after=0.5)


def half_body() -> Behaviour:
    """Close in the middle of the body."""
    return Behaviour(ending=Ending.CLOSE, after=0.5)


def half_frame(whole: int = 2) -> Behaviour:
    """End a stream in the middle of an event, in a well-formed message."""
    return Behaviour(ending=Ending.EARLY, after=whole + 0.5)


def no_done() -> Behaviour:
    """End a stream without `[DONE]`."""
    return Behaviour(done=False)


def huge(size: int) -> Behaviour:
    """Answer a body of that many bytes."""
    return Behaviour(body=lambda _: b'{"x":"' + b"x" * (size - 8) + b'"}')


def redirect(location: str, status: int = 302) -> Behaviour:
    """Answer a redirect."""
    return Behaviour(status=status, headers=(("location", location),), body=b"")


def stall(after: float | None = None) -> Behaviour:
    """Fall silent: before the head, or after so many frames."""
    return Behaviour(ending=Ending.STALL, after=after)


def reset(after: float | None = None) -> Behaviour:
    """Reset the connection: before the head, or after so many frames."""
    return Behaviour(ending=Ending.RESET, after=after)


def close(after: float | None = None) -> Behaviour:
    """Close the connection: before the head, or after so many frames."""
    return Behaviour(ending=Ending.CLOSE, after=after)


CATALOGUE: Final[dict[str, Behaviour]] = {
    "slow-start": Behaviour(delay=2.0),
    "slow-stream": Behaviour(chunks=30, gap=0.2),
    "long-stream": Behaviour(chunks=1000, gap=0.01),
    "drip": Behaviour(drip=0.005),
    "error-400": error(400),
    "error-401": leaky_error(),
    "error-429": error(429, "Rate limit reached.", kind="requests", code="rate_limit_exceeded", retry_after=1),
    "error-500": error(500, "The server had an error.", kind="server_error"),
    "error-503": error(503, "Overloaded.", kind="server_error", retry_after=1),
    "error-in-200": error_in_200(),
    "error-in-stream": error_in_stream(),
    "garbage": garbage(),
    "html": html(),
    "not-http": not_http(),
    "truncated-json": truncated_json(),
    "half-body": half_body(),
    "half-frame": half_frame(),
    "no-done": no_done(),
    "no-usage": Behaviour(usage=None),
    "huge": huge(64 << 20),
    "redirect": redirect("http://169.254.169.254/latest/meta-data/"),
    "stall": stall(),
    "stall-mid": stall(2),
    "reset": reset(),
    "reset-mid": reset(2),
    "close": close(),
    "close-mid": close(2),
}
"""What `python -m tests.upstream` knows by model name."""
