r"""About how many tokens a model reads of a request, by its words.

No tokenizer of one provider's models says what another's count, none of Anthropic's or Google's is published, and those
of OpenAI take 80 MB and fail on some input. So words are cut as all of them cut them: at changes of case and kind, into
pieces as long as theirs are on the average. Of prose and code that is up to a third more than OpenAI's `o200k_base`
counts, of noise, such as random letters, as little as a third. So nothing large counts less than two tokens for five
bytes, whatever it looks like: prose has about half of that, noise up to a third more.

    "What is the capital of France?"  →  What is the capit al of Franc e ?     9 pieces, where o200k_base has 7

What of a body a model reads, and what only says how, goes by the names of its fields; a field that nobody knows counts.
Each pattern is linear: nothing is looked at twice, whatever a client sends.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from bailiwick.domain.json_body import Raw
from bailiwick.domain.usage import MAX_TOKENS

# Each match is about one token. Letters that go on and on are no words.
_PIECES: Final = re.compile(
    r"\\u[0-9a-fA-F]{4}|(?:\\[nrt]){1,16}+|\\."
    r"|(?<=[a-z]{16})[a-z]{1,2}|[A-ZÀ-Þ]?[a-zß-ɏ]{1,5}|[A-ZÀ-Þ]{1,2}"
    r"|[0-9]{1,3}"
    r"|[Ͱ-ӿ]{1,3}|[\u0500-\u10ff]{1,2}"
    r"|[^\W_]|[^\w\s]{1,2}|_"
    r"|\s{2,32}"
)
# What comes to two of them.
_RARE: Final = re.compile("[\u1100-\u1fff\u2190-\u2dff\U00010000-\U0010ffff]")
# Strings from left to right, so that none begins within another; a key has a colon behind it. The last may be cut off.
_VALUES: Final = re.compile(r'"((?:[^"\\]++|\\.)*+)(?:"(\s*+:)?)?|[0-9]++|\{', re.DOTALL)
# So many characters are counted, in a tenth of a second, and the rest is taken to be like them.
_SAMPLE: Final = 256 * 1024
# Characters that are counted in one go, during which nothing else happens in the process.
_AT_ONCE: Final = 8 * 1024
# Tokens that may be too few: what is small is counted as the words that it seems to be.
_BELIEVED: Final = 500
_AROUND_OBJECT: Final = 3
_AROUND_ALL: Final = 3
# What is said to a model: of its JSON only the values are read.
_SAID: Final = frozenset({"contents", "input", "instructions", "messages", "prompt", "suffix", "system"})
# What says how it shall answer, and is not read.
_UNREAD: Final = frozenset({
    "background", "best_of", "dimensions", "echo", "encoding_format", "frequency_penalty", "include", "logit_bias",
    "logprobs", "max_completion_tokens", "max_output_tokens", "max_tokens", "metadata", "modalities", "model", "n",
    "parallel_tool_calls", "prediction", "presence_penalty", "prompt_cache_key", "prompt_cache_retention", "quality",
    "reasoning", "reasoning_effort", "response_format", "safety_identifier", "seed", "service_tier", "size", "speed",
    "stop", "stop_sequences", "store", "stream", "stream_options", "style", "temperature", "text", "thinking",
    "tool_choice", "top_k", "top_logprobs", "top_p", "truncation", "user", "verbosity", "voice",
})  # fmt: skip
# Of these only a schema is read.
_SCHEMA: Final = b'"schema"'


def tokens_read(fields: Mapping[str, Raw]) -> int:
    """About how many tokens a model reads of the fields of a body."""
    found, size = _AROUND_ALL, 0
    for name, raw in fields.items():
        said = name in _SAID
        if said or name not in _UNREAD or _SCHEMA in bytes(raw):
            size += len(raw)
            text = str(raw, "utf-8")
            sample = text[:_SAMPLE]
            counted = _in_values(sample) if said else in_text(sample)
            found += counted * len(text) // max(len(sample), 1)
    return min(max(found, size * 2 // 5 - _BELIEVED), MAX_TOKENS)


def in_text(text: str) -> int:
    """About how many tokens a text has."""
    found = 0
    for begin in range(0, len(text), _AT_ONCE):
        part = text[begin : begin + _AT_ONCE]
        found += _PIECES.subn("", part)[1]
        if not part.isascii():
            found += _RARE.subn("", part)[1]
    return found


def _in_values(json: str) -> int:
    found = 0
    for value in _VALUES.finditer(json):
        if value[1] is None:
            found += _AROUND_OBJECT if value[0] == "{" else 1
        elif value[2] is None:
            found += in_text(value[1])
    return found
