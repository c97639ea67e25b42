"""The unchanged `openai` package at every door but chat's, which has tests of its own."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import openai
import pytest

from tests.apps.gateway.doors import streams
from tests.apps.gateway.doors.cases import BY_PATH, CASES, MODEL, RESPONSE, project
from tests.serving import Caller, Site, events_of
from tests.upstream import Behaviour, Ending, Upstream
from tests.upstream.payloads import event


@pytest.fixture
def caller(site: Site) -> Caller:
    return project(site, BY_PATH["/responses"])


def answering(upstream: Upstream, path: str) -> None:
    upstream.on(f"/v1{path}", CASES[path].behaviour)


def streaming(upstream: Upstream, path: str, *frames: bytes) -> None:
    upstream.on(f"/v1{path}", Behaviour(frames=frames, gap=0.01))


def test_a_text_completion(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/completions")
    with caller.sdk() as client:
        answer = client.completions.create(model=MODEL, prompt="The capital of France is")
    assert answer.choices[0].text == "Paris."


def test_a_stream_of_text(caller: Caller, upstream: Upstream) -> None:
    streaming(upstream, "/completions", *streams.TEXT_EVENTS)
    with caller.sdk() as client:
        frames = list(client.completions.create(model=MODEL, prompt="The capital of France is", stream=True))
    assert "".join(frame.choices[0].text for frame in frames) == "Paris."
    assert (caller.row()["input_tokens"], caller.row()["output_tokens"]) == (11, 3)


def test_embeddings(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/embeddings")
    with caller.sdk() as client:
        answer = client.embeddings.create(model=MODEL, input=["Paris"], encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5]


def test_a_response(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/responses")
    with caller.sdk() as client:
        answer = client.responses.create(model=MODEL, input="What is the capital of France?")
    assert answer.output_text == "Paris."
    row = caller.row()
    assert (row["cached_tokens"], row["reasoning_tokens"]) == (4, 2)


def test_a_stream_of_a_response(caller: Caller, upstream: Upstream) -> None:
    streaming(upstream, "/responses", *streams.RESPONSE_EVENTS)
    with caller.sdk() as client:
        events = list(client.responses.create(model=MODEL, input="What is the capital of France?", stream=True))
    assert [event.type for event in events] == [
        "response.created", "response.output_text.delta", "response.output_text.delta", "response.completed",
    ]  # fmt: skip
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (0, 0)
    assert (row["input_tokens"], row["output_tokens"], row["cached_tokens"]) == (11, 3, 4)


@pytest.mark.parametrize(
    "frames", [streams.RESPONSE_EVENTS[:3], (*streams.RESPONSE_EVENTS[:3], streams.RESPONSE_FAILED)]
)
def test_a_response_that_breaks_off_is_raised_and_estimated(
    caller: Caller, upstream: Upstream, frames: tuple[bytes, ...]
) -> None:
    streaming(upstream, "/responses", *frames)
    with caller.sdk() as client, pytest.raises(openai.APIError):
        list(client.responses.create(model=MODEL, input="What is the capital of France?", stream=True))
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (1, 1)
    assert row["output_tokens"] > 0


def test_what_a_failed_response_says_it_used_is_recorded(caller: Caller, upstream: Upstream) -> None:
    failed = {
        "type": "response.failed",
        "response": {**RESPONSE, "status": "failed", "error": {"message": "It broke."}},
    }
    streaming(upstream, "/responses", *streams.RESPONSE_EVENTS[:3], streams.named(failed))
    with caller.sdk() as client, pytest.raises(openai.APIError):
        list(client.responses.create(model=MODEL, input="What is the capital of France?", stream=True))
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (1, 0)
    assert (row["input_tokens"], row["output_tokens"]) == (11, 3)


def test_a_prompt_kept_at_ones_own_provider_may_stand_for_the_model(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/responses")
    with caller.sdk() as client:
        assert client.responses.create(prompt={"id": "pmpt_1"}).output_text == "Paris."
    assert "model" not in json.loads(upstream.requests[0].body)
    assert caller.row()["model"] == "unnamed"


def test_a_key_for_some_models_cannot_leave_the_model_out(site: Site) -> None:
    caller = project(site, BY_PATH["/responses"], key={"models": [MODEL]})
    with caller.sdk() as client, pytest.raises(openai.PermissionDeniedError):
        client.responses.create(prompt={"id": "pmpt_1"})
    caller.assert_untouched()


def test_a_moderation(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/moderations")
    with caller.sdk() as client:
        answer = client.moderations.create(input="Hello")
    assert not answer.results[0].flagged
    assert caller.row()["model"] == "omni-moderation-latest"


def test_an_image(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/images/generations")
    with caller.sdk() as client:
        answer = client.images.generate(model=MODEL, prompt="A bailiff")
    assert answer.data is not None
    assert answer.data[0].b64_json == "aGVsbG8="


def test_a_stream_of_an_image(caller: Caller, upstream: Upstream) -> None:
    streaming(upstream, "/images/generations", *streams.IMAGE_EVENTS)
    with caller.sdk() as client:
        events = list(client.images.generate(model=MODEL, prompt="A bailiff", stream=True))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    assert (caller.row()["input_tokens"], caller.row()["usage_source"]) == (11, 0)


def test_a_transcript(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/audio/transcriptions")
    with caller.sdk() as client:
        answer = client.audio.transcriptions.create(model=MODEL, file=("speech.mp3", io.BytesIO(b"\xff\xfb" * 999)))
    assert answer.text == "Hello."


def test_a_transcript_as_subtitles(caller: Caller, upstream: Upstream) -> None:
    said = b"1\n00:00:00,000 --> 00:00:01,000\nHello.\n"
    upstream.on("/v1/audio/transcriptions", Behaviour(body=said, headers=(("content-type", "text/plain"),)))
    with caller.sdk() as client:
        answer = client.audio.transcriptions.create(
            model=MODEL, file=("speech.mp3", io.BytesIO(b"\xff\xfb" * 999)), response_format="srt"
        )
    assert answer == said.decode()
    assert caller.row()["output_tokens"] == 10


def test_a_stream_of_a_transcript(caller: Caller, upstream: Upstream) -> None:
    streaming(upstream, "/audio/transcriptions", *streams.TRANSCRIPT_EVENTS)
    with caller.sdk() as client:
        events = list(
            client.audio.transcriptions.create(
                model=MODEL, file=("speech.mp3", io.BytesIO(b"\xff\xfb" * 999)), stream=True
            )
        )
    assert [event.type for event in events][-1] == "transcript.text.done"
    assert (caller.row()["input_tokens"], caller.row()["usage_source"]) == (11, 0)


def test_speech_is_passed_on_as_it_comes(caller: Caller, upstream: Upstream) -> None:
    answering(upstream, "/audio/speech")
    with caller.sdk() as client:
        answer = client.audio.speech.create(model=MODEL, input="Hello.", voice="alloy")
    assert answer.content == CASES["/audio/speech"].answer
    assert answer.response.headers["content-type"] == "audio/mpeg"


def test_speech_as_events_is_passed_on_and_its_usage_read(caller: Caller, upstream: Upstream) -> None:
    usage = {"input_tokens": 14, "output_tokens": 101, "total_tokens": 115}
    frames = [{"type": "speech.audio.delta", "audio": "aGk="}, {"type": "speech.audio.done", "usage": usage}]
    streaming(upstream, "/audio/speech", *(event(frame) for frame in frames))
    with caller.sdk() as client:
        answer = client.audio.speech.create(model=MODEL, input="Hello.", voice="alloy", stream_format="sse")
    assert events_of(answer.content) == [*frames, "[DONE]"]
    row = caller.row()
    assert (row["input_tokens"], row["output_tokens"], row["usage_source"]) == (14, 101, 0)


def test_speech_that_breaks_off_is_seen_to_be_broken(caller: Caller, upstream: Upstream) -> None:
    sound = CASES["/audio/speech"].behaviour
    broken = replace(sound, declared_length=100_000, ending=Ending.CLOSE, after=1.0)
    upstream.on("/v1/audio/speech", broken)
    with caller.sdk() as client, pytest.raises(openai.APIConnectionError):
        client.audio.speech.create(model=MODEL, input="Hello.", voice="alloy").read()
    assert caller.row()["outcome"] == 1


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, openai.BadRequestError), (404, openai.NotFoundError), (422, openai.UnprocessableEntityError),
     (429, openai.RateLimitError), (503, openai.InternalServerError)],
)  # fmt: skip
def test_errors_have_their_types(
    caller: Caller, upstream: Upstream, status: int, kind: type[openai.APIStatusError]
) -> None:
    upstream.on("/v1/embeddings", Behaviour(status=status, body=b'{"error":{"message":"No.","type":"t"}}'))
    with caller.sdk() as client, pytest.raises(kind) as raised:
        client.embeddings.create(model=MODEL, input="x")
    assert raised.value.code == "provider_error"
