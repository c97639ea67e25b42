"""How much a call may come to at most, before anybody knows: tokens by what is sent, nano-dollars at the dearest rates.

What a model reads is bounded by the bytes that are sent, since a token is a byte at least. Where that does not fit, its
words are counted. What is not in these bytes, or is no text, counts as all that the model can read at once, its context
window: pictures, files, sound, what a provider kept, what its own tools find. What a model writes is bounded by the
request, or else by us, and that is sent along.

    {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 100, "n": 2}   → 78 bytes read, 200 tokens written

A provider that keeps to what it was asked for never reports more than the bytes, and seldom more than the words. One
that does is believed, and the next call pays for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple, final

import msgspec

from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.json_body import Raw
from bailiwick.domain.json_search import ESCAPED_LETTER
from bailiwick.domain.pricing import Price
from bailiwick.domain.requests import ModelRequest
from bailiwick.domain.token_counts import tokens_read
from bailiwick.domain.usage import MAX_TOKENS

_top_level = msgspec.json.Decoder(dict[str, Raw]).decode

# Parts of a content whose tokens are not bounded by their bytes.
_PARTS: Final = re.compile(
    r'"type"\s*+:\s*+"(?:audio|computer_screenshot|container_upload|document|file|image|image_url|input_audio'
    r'|input_file|input_image|input_video|item_reference|video|video_url)"',
    re.ASCII,
)
_OFF: Final = frozenset({b"null", b"false", b"[]", b"{}", b'""'})
_OPENS: Final = b"{["
# What has a model read what the body does not hold.
_BEYOND: Final = frozenset({
    "container", "conversation", "enable_search", "file_ids", "mcp_servers", "plugins", "previous_response_id",
    "search_parameters", "thread", "web_search_options",
})  # fmt: skip
# As an object it is one that a provider keeps; in a text completion it is what is sent.
_PROMPT: Final = "prompt"
_TOOLS: Final = "tools"
_TYPE: Final = re.compile(r'"type"\s*+:\s*+"([a-z_0-9.-]++)"', re.ASCII)
# What a provider does itself, of whatever version; a tool that the caller carries out is no more than its definition.
_HOSTED: Final = re.compile(
    r"bash|browser|code_execution|code_interpreter|computer|file_search|google_search|image_generation|local_shell|mcp"
    r"|memory|shell|text_editor|url_context|web_fetch|web_search"
)
# What of it was not right is paid for beside what is written.
_PREDICTION: Final = "prediction"


@final
class Extent(NamedTuple):
    """What a request may come to at most: `read` tokens, `written` ones for each of its `choices`, and some `beside`.

    `beyond`: it has a model read what cannot be told from its bytes. `said`: how much is written is the request's own
    to say, or nobody's; else it is ours. `counted`: what is read was counted by words, or has none; else it is bytes.
    """

    read: int
    written: int
    choices: int = 1
    beside: int = 0
    beyond: bool = False
    said: bool = False
    counted: bool = False


@final
class Ceiling(NamedTuple):
    """What a call comes to at most: `read` tokens and `written` ones, and `nano` dollars, None for no known price."""

    read: int
    written: int
    nano: int | None

    @property
    def tokens(self) -> int:
        """All of them."""
        return min(self.read + self.written, MAX_TOKENS)


def bounded(request: ModelRequest | FormRequest, most: int | None, usual: int) -> ModelRequest | FormRequest:
    """The request with how much may be written at most: `most`, None for as much as it says itself, or is `usual`."""
    if isinstance(request, FormRequest) or not request.form.maxima:
        return request
    said = request.maximum()
    bounds = (usual if said is None else said, request.most, most)
    return msgspec.structs.replace(request, most=min(bound for bound in bounds if bound is not None))


def extent(request: ModelRequest | FormRequest, sent: int, *, untold: int) -> Extent:
    """What a `bounded` request comes to of which `sent` bytes go to the provider.

    `untold` is how much is written for each choice where no request can say how much.
    """
    if isinstance(request, FormRequest):
        return Extent(read=sent, written=untold, said=True, counted=True)
    fields = request.fields
    tells = bool(request.form.maxima)
    return Extent(
        read=sent,
        written=request.most or 0 if tells else untold,
        choices=request.choices(),
        beside=len(fields[_PREDICTION]) if _PREDICTION in fields else 0,
        beyond=reads_beyond(fields),
        said=not tells or request.maximum() is not None,
    )


def recounted(extent: Extent, body: bytes) -> Extent:
    """The extent of a JSON body, with its words counted."""
    return extent._replace(read=min(extent.read, tokens_read(_top_level(body))), counted=True)


def ceiling(extent: Extent, price: Price | None, window: int | None) -> Ceiling | None:
    """The most that a request can come to with a model that reads `window` tokens at once, None for unknown.

    None: that cannot be told.
    """
    read = extent.read
    if extent.beyond:
        if window is None:
            return None
        read = max(read, window)
    written = extent.written * extent.choices + extent.beside
    return Ceiling(read, written, None if price is None else price.most(read, written))


def reads_beyond(fields: Mapping[str, Raw]) -> bool:
    """Whether a body has a model read what its bytes do not bound."""
    for name, raw in fields.items():
        data = bytes(raw)
        if name in _BEYOND:
            if data not in _OFF:
                return True
        elif name == _PROMPT and data.startswith(b"{"):
            return True
        elif name == _TOOLS:
            if any(_HOSTED.match(kind[1]) for kind in _TYPE.finditer(str(data, "latin-1"))):
                return True
        elif data[0] in _OPENS and (b'"type"' in data or b"\\u00" in data):
            text = str(data, "latin-1")
            if _PARTS.search(text) or ESCAPED_LETTER.search(text):
                return True
    return False
