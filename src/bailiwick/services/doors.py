"""The doors of the data plane: every address at which a model can be asked something, and all that differs there.

One table, and one admission for all: an address without an entry cannot be reached. An entry says which scope a key
needs, how the request's body is read, how the answer is, and which kinds of provider can be asked.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.agent_calls import (
    CHAT_AS_AGENT,
    COUNTED_AS_AGENT,
    MESSAGES_AS_AGENT,
    RESPONSES_AS_AGENT,
    AgentForm,
)
from bailiwick.domain.form_data import FormRequest, read_form
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.permissions import Permission
from bailiwick.domain.requests import JsonForm, ModelRequest, read_request
from bailiwick.providers.answers.completions import COMPLETIONS
from bailiwick.providers.answers.form import AnswerForm
from bailiwick.providers.answers.media import MEDIA
from bailiwick.providers.answers.messages import MESSAGES
from bailiwick.providers.answers.responses import RESPONSES

_OPENAI_KIND: Final = ProviderKind.OPENAI
# What every other provider knows at OpenAI's address.
_OLDER_MAXIMUM: Final = "max_tokens"
_EVERY_KIND: Final = frozenset(ProviderKind)
_OPENAI: Final = frozenset({ProviderKind.OPENAI})
_COMPATIBLE: Final = _OPENAI | {ProviderKind.GEMINI}
_ANTHROPIC: Final = frozenset({ProviderKind.ANTHROPIC})
_ECHO: Final = frozenset({ProviderKind.ECHO})
# By what providers document of their largest pictures, longest transcripts, and speech of 4,096 characters.
_PICTURE: Final = 8_192
_TRANSCRIPT: Final = 16_384
_SPEECH: Final = 16_384
_BY_USER: Final = ("user", "safety_identifier")
_BY_METADATA: Final = ("metadata.user_id",)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """One address. `path` is below `/v1`, here and at the provider.

    `body` None: the request is multipart/form-data. `media`: the answer may be sound or text. `kinds` are the providers
    that have this address. `billed` is False where nothing is generated. `as_agent` is how agents are taken, None: not.
    `writes` is how many tokens a model writes at most, for each choice, where no request can say how many.
    """

    path: str
    permission: Permission
    body: JsonForm | None
    answer: AnswerForm
    kinds: AbstractSet[ProviderKind]
    media: bool = False
    billed: bool = True
    as_agent: AgentForm | None = None
    writes: int = 0

    def read(self, body: bytes, content_type: bytes, agent: str | None) -> ModelRequest | FormRequest:
        """Read a client's body, of a call that names an `agent` in its head; raises `Refused` (400) if it is wrong."""
        if self.body is None:
            return read_form(body, content_type)
        return read_request(body, self.body, as_agent=agent is not None)

    def maximum(self, kind: ProviderKind) -> str | None:
        """The field that tells a provider of this kind how much may be written; None for the address's own."""
        return _OLDER_MAXIMUM if self.body is CHAT.body and kind is not _OPENAI_KIND else None


CHAT: Final = Door(
    path="/chat/completions",
    permission=Permission.CHAT_CREATE,
    body=JsonForm(
        content="messages",
        conversation=True,
        users=_BY_USER,
        asks_usage=True,
        defers="deferred",
        maxima=("max_completion_tokens", "max_tokens"),
    ),
    answer=COMPLETIONS,
    kinds=_EVERY_KIND,
    as_agent=CHAT_AS_AGENT,
)
DOORS: Final[tuple[Door, ...]] = (
    CHAT,
    Door(
        path="/completions",
        permission=Permission.COMPLETIONS_CREATE,
        body=JsonForm(content="prompt", users=("user",), asks_usage=True, maxima=("max_tokens",)),
        answer=COMPLETIONS,
        kinds=_OPENAI | _ECHO,
    ),
    Door(
        path="/embeddings",
        permission=Permission.EMBEDDINGS_CREATE,
        body=JsonForm(content="input", users=("user",), streams=False),
        answer=MEDIA,
        kinds=_COMPATIBLE | _ECHO,
    ),
    Door(
        path="/responses",
        permission=Permission.RESPONSES_CREATE,
        body=JsonForm(
            content="input",
            optional=True,
            unnamed=True,
            users=_BY_USER,
            keeps=True,
            defers="background",
            maxima=("max_output_tokens",),
        ),
        answer=RESPONSES,
        kinds=_OPENAI | _ECHO,
        as_agent=RESPONSES_AS_AGENT,
    ),
    Door(
        path="/moderations",
        permission=Permission.MODERATIONS_CREATE,
        body=JsonForm(content="input", streams=False, default_model="omni-moderation-latest"),
        answer=MEDIA,
        kinds=_OPENAI,
    ),
    Door(
        path="/images/generations",
        permission=Permission.IMAGES_CREATE,
        body=JsonForm(content="prompt", users=("user",), default_model="gpt-image-1"),
        answer=MEDIA,
        kinds=_COMPATIBLE,
        writes=_PICTURE,
    ),
    Door(
        path="/audio/transcriptions",
        permission=Permission.AUDIO_CREATE,
        body=None,
        answer=MEDIA,
        kinds=_OPENAI,
        media=True,
        writes=_TRANSCRIPT,
    ),
    Door(
        path="/audio/speech",
        permission=Permission.AUDIO_CREATE,
        body=JsonForm(content="input", streams=False),
        answer=MEDIA,
        kinds=_OPENAI,
        media=True,
        writes=_SPEECH,
    ),
    Door(
        path="/messages",
        permission=Permission.MESSAGES_CREATE,
        body=JsonForm(
            content="messages",
            conversation=True,
            users=_BY_METADATA,
            strips=_BY_USER + _BY_METADATA,
            maxima=("max_tokens",),
        ),
        answer=MESSAGES,
        kinds=_ANTHROPIC | _ECHO,
        as_agent=MESSAGES_AS_AGENT,
    ),
    Door(
        path="/messages/count_tokens",
        permission=Permission.MESSAGES_CREATE,
        body=JsonForm(content="messages", conversation=True, strips=_BY_USER + _BY_METADATA, streams=False),
        answer=MESSAGES,
        kinds=_ANTHROPIC | _ECHO,
        as_agent=COUNTED_AS_AGENT,
        billed=False,
    ),
)
