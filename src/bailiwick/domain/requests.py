"""What clients ask of models: what we read of a request's JSON body, and what goes on to the provider.

Only the top level is decoded. What we must set or check (`model`, `stream`, `stream_options`, `user`,
`safety_identifier`, `metadata`, `tools`, `tool_choice`, maximum tokens, `n`, `store`) is decoded and encoded anew, so
that nothing hides in a second spelling; everything else, the content above all, passes on as the bytes that came.

Worked example: at `/v1/embeddings`, `{"model": "small", "input": ["a"], "user": "me"}` by the end user `u1` becomes
`{"model": "text-embedding-3-small", "input": ["a"], "user": "<pseudonym of u1>"}`, where `small` is an alias.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Annotated, Final, cast, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.json_body import MOST_VALUES, Json, Raw, decoded, explained, read_object, too_many_values, wrong
from bailiwick.domain.kept_state import kept_reference
from bailiwick.domain.other_models import other_models
from bailiwick.domain.tool_lists import TOOLS, ToolList
from bailiwick.domain.usage import estimated_tokens

_encode = msgspec.json.encode
_SOME: Final = re.compile(rb"\[\s*+[^\]]")
_NULL: Final = b"null"
# To go over so many bytes takes less than to pick some of them.
_SHORT: Final = 4 * 1024
_MAXIMA: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_CHOICES: Final = ("n", "best_of")

# What a model is called that only its provider knows: in the ledger, in aliases and in a key's list of models.
UNNAMED: Final = "unnamed"

# None at all is sense in a text completion that shall only be judged.
_Maximum = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] | None
_Choices = Annotated[int, msgspec.Meta(ge=1, le=128)] | None
_Candidates = Annotated[int, msgspec.Meta(ge=0, le=128)] | None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Object(msgspec.Struct, gc=False):
    """Any object: this says only that it is one."""


class _Known(msgspec.Struct):
    """The fields that we set or check, at whatever address, with the types they must have."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    max_tokens: _Maximum = None
    max_completion_tokens: _Maximum = None
    max_output_tokens: _Maximum = None
    n: _Choices = None
    best_of: _Candidates = None
    tools: list[_Object] | None = None
    tool_choice: str | _Object | None = None
    parallel_tool_calls: bool | None = None
    functions: list[_Object] | None = None
    function_call: str | _Object | None = None
    mcp_servers: list[_Object] | None = None
    web_search_options: _Object | None = None
    search_parameters: _Object | None = None
    plugins: list[_Object] | None = None
    enable_search: bool | None = None
    metadata: _Object | None = None


_known = msgspec.json.Decoder(_Known).decode
_KNOWN: Final = frozenset(_Known.__struct_fields__)
_ENCODED_ANEW: Final = frozenset({
    "metadata", "tools", "tool_choice", "functions", "function_call", "mcp_servers", "max_tokens",
    "max_completion_tokens", "max_output_tokens", "n", "best_of",
})  # fmt: skip


_BESIDES_TOOLS: Final = _ENCODED_ANEW - {TOOLS}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class JsonForm:
    """What one address takes.

    `content` is the field that everything is about, `conversation` says that it is an array with something in it, and
    `optional` that it may be absent; `default_model` is meant where none is named, and `unnamed` says that a provider
    may know it, by what it keeps. `users` are the fields that name the end user, a dot for one within an object, and
    `strips` all in which a client could name one, which never pass. `streams`: it can be answered as a stream, and
    `asks_usage` that the stream tells its usage only when asked. `keeps`: a provider keeps what it answers unless it is
    told not to. `defers` is the field that would have it answer later, behind the ledger's back. `maxima` are the
    fields that say how much may be written, the first of them where a client has said nothing.
    """

    content: str
    conversation: bool = False
    optional: bool = False
    default_model: str | None = None
    unnamed: bool = False
    users: tuple[str, ...] = ()
    strips: tuple[str, ...] = ("user", "safety_identifier")
    streams: bool = True
    asks_usage: bool = False
    keeps: bool = False
    defers: str | None = None
    maxima: tuple[str, ...] = ()
    names: frozenset[str] = field(init=False, repr=False, compare=False)
    """All that is read or passed on by name; none of them may stand in another case."""
    user_places: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    """`users`, each as a field and what is within it, or nothing."""
    stripped_places: tuple[tuple[str, str], ...] = field(init=False, repr=False, compare=False)
    """`strips` likewise."""

    def __post_init__(self) -> None:
        """Derive what each request needs."""
        object.__setattr__(self, "names", _KNOWN | {self.content})
        object.__setattr__(self, "user_places", tuple(_place(name) for name in self.users))
        object.__setattr__(self, "stripped_places", tuple(_place(name) for name in self.strips))


def _place(name: str) -> tuple[str, str]:
    outer, _, inner = name.partition(".")
    return outer, inner


@final
class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the client made it. `size` is the whole body's, in bytes of text; `model` UNNAMED if not `named`.

    `others` is the field that names models beside it, None for none. `before` is JSON that goes before the first
    element of the content, with the comma after it. `most` is how many tokens the caller lets a model write, None for
    any number.
    """

    form: JsonForm
    fields: dict[str, Raw]
    model: str
    named: bool
    others: str | None
    stream: bool
    usage_wanted: bool
    size: int
    content_type: None = None
    before: bytes = b""
    most: int | None = None
    tools: ToolList | None = None
    """What came of `tools`, once it was read: it goes on as it stands there."""
    values: dict[str, Json] = msgspec.field(default_factory=dict)
    """What was decoded of the fields, which is done once."""

    def tokens(self) -> int:
        """Estimate the tokens that it takes: those of its text, and as many as it lets the model write, if it says."""
        wanted = self.maximum() or 0
        if self.most is not None and self.form.maxima:
            wanted = min(wanted, self.most) or self.most
        return estimated_tokens(self.size) + wanted * self.choices()

    def maximum(self) -> int | None:
        """How much it lets the model write for each choice, by itself: the largest number that it says, if any."""
        return max((said for name in _MAXIMA if (said := self._number(name)) is not None), default=None)

    def choices(self) -> int:
        """How many answers are written."""
        return max(1, *(self._number(name) or 0 for name in _CHOICES))

    def _number(self, name: str) -> int | None:
        """A field that was checked to be a number, or to be none."""
        return cast("int | None", self.value(name))

    def value(self, name: str) -> Json:
        """One field, decoded; None if it is absent or null. Raises `Refused` (400)."""
        if name not in self.values:
            self.values[name] = decoded(self.fields, name)
        return self.values[name]

    def upstream(self, *, model: str, user: str | None, shared_account: bool, maximum: str | None = None) -> bytes:
        """Write the body for the provider.

        `user` is the pseudonym of the end user, None for none. `shared_account` says that tenants share the provider's
        account: references to anything kept there are then refused (400), and nothing is stored. `maximum` is the field
        that says how much may be written where the client did not, None for the address's own.
        """
        form = self.form
        fields: dict[str, object] = dict(self.fields)
        if self.named:
            fields["model"] = model
        elif shared_account:
            raise wrong("model", "is required")
        else:
            fields.pop("model", None)
        if self.before:
            rest = memoryview(self.fields[form.content])[1:]
            fields[form.content] = Raw(b"".join((b"[", self.before, rest)))
        if form.streams:
            fields["stream"] = self.stream
        for name in (_ENCODED_ANEW if self.tools is None else _BESIDES_TOOLS) & fields.keys():
            fields[name] = self.value(name)
        if self.most is not None and form.maxima:
            _bound(fields, form, self.most, maximum)
        _name_user(fields, form, user)
        if form.asks_usage:
            _ask_usage(fields, self)
        if form.defers in fields:
            fields[form.defers] = False
        if shared_account:
            if form.keeps or "store" in fields:
                fields["store"] = False
            _refuse_kept_state(self)
        return _encode(fields)


def read_request(body: bytes, form: JsonForm, *, as_agent: bool = False) -> ModelRequest:
    """Read a client's body; raises `Refused` (400) saying which field is wrong.

    `as_agent`: it may leave out the model, which is the agent's to say.
    """
    fields = read_object(body, content=form.content, names=form.names)
    # Not the body a second time, where it is large.
    checked = body if len(body) <= _SHORT else _encode({name: raw for name, raw in fields.items() if name in _KNOWN})
    if too_many_values(checked, MOST_VALUES):
        message = f"The body must have at most {MOST_VALUES} values in its tools and metadata."
        raise Refused(Code.INVALID_REQUEST, message)
    try:
        known = _known(checked)
    except (msgspec.MsgspecError, RecursionError) as problem:
        raise explained(str(problem)) from None
    named = known.model or form.default_model
    if named is None and not (form.unnamed or as_agent):
        raise wrong("model", "is required")
    model = named or UNNAMED
    if not model.isprintable():
        raise wrong("model", "must be printable")
    _check_content(fields.get(form.content), form)
    return ModelRequest(
        form=form,
        fields=fields,
        model=model,
        named=named is not None,
        others=other_models(body, fields),
        stream=form.streams and known.stream is True,
        usage_wanted=known.stream_options is not None and known.stream_options.include_usage is True,
        size=len(body),
    )


def _check_content(content: Raw | None, form: JsonForm) -> None:
    if content is None or (len(content) == len(_NULL) and bytes(content) == _NULL):
        if not form.optional:
            raise wrong(form.content, "is required")
    elif form.conversation and _SOME.match(memoryview(content)) is None:
        raise wrong(form.content, "must be an array with at least one message")


def _name_user(fields: dict[str, object], form: JsonForm, user: str | None) -> None:
    for outer, inner in form.stripped_places:
        within = {key: value for key, value in _object(fields, outer).items() if key != inner} if inner else None
        if within:
            fields[outer] = within
        else:
            fields.pop(outer, None)
    if user is None:
        return
    for outer, inner in form.user_places:
        fields[outer] = {**_object(fields, outer), inner: user} if inner else user


def _object(fields: dict[str, object], name: str) -> dict[str, Json]:
    """A field that was checked to be an object, or to be none."""
    return cast("dict[str, Json]", fields.get(name) or {})


def _bound(fields: dict[str, object], form: JsonForm, most: int, maximum: str | None) -> None:
    """Let no more be written than `most`: what was asked for is lowered, and where nothing was, this is."""
    for name in _MAXIMA:
        asked = fields.get(name)
        if isinstance(asked, int):
            fields[name] = min(asked, most)
    if not any(isinstance(fields.get(name), int) for name in form.maxima):
        fields[maximum or form.maxima[0]] = most


def _ask_usage(fields: dict[str, object], request: ModelRequest) -> None:
    if request.stream:
        options = request.value("stream_options") or {}
        fields["stream_options"] = {**cast("dict[str, Json]", options), "include_usage": True}
    else:
        fields.pop("stream_options", None)


def _refuse_kept_state(request: ModelRequest) -> None:
    for name, raw in request.fields.items():
        if request.tools is not None and name == TOOLS:
            found = request.tools.reference()
        else:
            found = kept_reference(name, str(raw, "latin-1"))
        if found is not None:
            message = f"{name} refers to something kept at the provider ({found}), which needs a provider of your own."
            raise Refused(Code.INVALID_REQUEST, message, param=name)
