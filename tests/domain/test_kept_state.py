"""References to state that a provider keeps: refused on an account that tenants share, and only there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.domain.kept_state import kept_reference
from tests.domain.test_requests import body, refused, written

KEPT = [
    '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}]',
    '"messages":[{"role":"user","content":[{"type":"image","image_url":{"file_id":"file-1"}}]}]',
    '"messages":[{"role":"assistant","audio":{"id":"audio_1"}}]',
    '"messages":[{"role":"user","content":[{"type":"file","file":{"f\\u0069le_id":"file-1"}}]}]',
    '"messages":[{"role":"assistant","a\\u0075dio":{"id":"audio_1"}}]',
    '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"},"file":{}}]}]',
    '"messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"file-1","file_id":null}}]}]',
    '"messages":[{"role":"assistant","audio":{"id":"audio_1"},"audio":null}]',
    '"messages":[1],"tools":[{"type":"file_search","vector_store_ids":["vs_1"]}]',
    '"messages":[1],"tools":[{"type":"code_interpreter","container":"cntr_1"}]',
    '"messages":[1],"tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["file-1"]}}]',
    '"messages":[1],"previous_response_id":"resp_1"',
    '"messages":[1],"conversation":"conv_1"',
    '"messages":[1],"conversation":{"id":"conv_1"}',
    '"messages":[1],"prompt":{"id":"pmpt_1","version":"2"}',
    '"messages":[1],"container":"cntr_1"',
    '"messages":[1],"audio":{"voice":{"id":"voice_1"},"format":"wav"}',
    '"messages":[1],"extra_body":{"google":{"cached_content":"cachedContents/1"}}',
    '"messages":[{"role":"user","content":[{"\\u0070rompt_id":"pmpt_1"}]}]',
    '"messages":[1],"google":{"cachedContent":"cachedContents/1"}',
    '"messages":[1],"input":[{"id":"msg_1"}]',
    '"messages":[1],"input":{"id":"msg_1"}',
    '"messages":[1],"input":[{"i\\u0064":"rs_1","type":null}]',
    '"messages":[1],"input":[{"id":"ig_1","id":null,"type":"image_generation_call"}]',
    '"messages":[1],"input":[{"id":"ig_1","type":"image_generation_call","result":"AA==","result":null}]',
    '"messages":[1],"input":[{"id":"rs_1","type":"message","type":"reasoning","content":"hi"}]',
    '"messages":[1],"input":[{"id":"x_1","type":"unheard_of","content":"hi"}]',
    '"messages":[1],"input":[{"role":"user","content":[{"type":"input_file","metadata":{"file_id":"file-1"}}]}]',
    '"messages":[1],"tools":[{"type":"file_search","parameters":{"vector_store_ids":["vs_1"]}}]',
    '"messages":[{"type":"function","type":"file_search","parameters":{"vector_store_ids":["vs_1"]}}]',
    '"messages":[1],"extra_body":{"parameters":{"file_id":"file-1"}}',
    '"messages":[1],"parameters":{"file_id":"file-1"}',
    '"messages":[1],"schema":{"file_id":"file-1"}',
    '"messages":[{"role":"user","content":[{"type":"text","input":{"file_id":"file-1"}}]}]',
    '"messages":[1],"thread":{"type":"create"}',
]
NOT_KEPT = [
    '"messages":[{"role":"user","content":"my file_id is \\"file_id\\": 7, in a container of the conversation"}]',
    '"messages":[{"role":"tool","tool_call_id":"call_1","content":"{\\"file_id\\":\\"file-1\\"}"}]',
    '"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AA==","format":"wav"}}]}]',
    '"messages":[1],"audio":{"voice":"alloy","format":"wav"},"modalities":["text","audio"]',
    '"messages":[1],"tools":[{"type":"function","function":{"parameters":{"properties":{"file_id":{}}}}}]',
    '"messages":[1],"functions":[{"name":"f","parameters":{"properties":{"container":{}}}}]',
    '"messages":[1],"response_format":{"json_schema":{"schema":{"properties":{"conversation":{}}}}}',
    '"messages":[1],"metadata":{"conversation":"7","container":"x"}',
    '"messages":[{"role":"user","content":"caf\\u00e9"}]',
    '"messages":[1],"tools":[{"name":"read","input_schema":{"type":"object","properties":{"file_id":{}}}}]',
    '"messages":[1],"tools":[{"type":"function","name":"f","parameters":{"properties":{"container_id":{}}}}]',
    '"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"n","input":{"container":"box"}}]}]',
    '"messages":[1],"text":{"format":{"type":"json_schema","name":"a","schema":{"properties":{"file_id":{}}}}}',
    '"messages":[1],"input":[{"id":"msg_1","type":"message","role":"assistant","content":[{"text":"hi"}]}]',
    '"messages":[1],"input":[{"id":"msg_1","role":"assistant","content":"hi"},{"id":null,"role":"user"}]',
    '"messages":[1],"input":[{"id":"fc_1","type":"function_call","call_id":"call_1","name":"f","arguments":"{}"}]',
    '"messages":[1],"input":[{"id":"rs_1","type":"reasoning","summary":[],"encrypted_content":"AA=="}]',
]


@pytest.mark.parametrize("fields", KEPT)
def test_a_reference_to_what_a_shared_account_keeps_is_refused(fields: str) -> None:
    refusal = refused(f'{{"model":"m",{fields}}}', shared_account=True)
    assert "kept at the provider" in refusal.message
    assert refusal.param is not None


@pytest.mark.parametrize("fields", KEPT)
def test_the_same_reference_goes_to_an_account_of_ones_own(fields: str) -> None:
    written(f'{{"model":"m",{fields}}}')


@pytest.mark.parametrize("fields", NOT_KEPT)
def test_what_only_looks_like_a_reference_passes(fields: str) -> None:
    written(f'{{"model":"m",{fields}}}', shared_account=True)


def test_nothing_is_stored_in_a_shared_account() -> None:
    assert written(body(store=True), shared_account=True)["store"] is False
    assert written(body(store=True))["store"] is True


def test_a_body_too_deep_to_be_looked_through_is_refused_on_a_shared_account() -> None:
    deep = "[" * 900 + '{"file_id":1}' + "]" * 900
    refusal = refused(f'{{"model":"m","messages":[{deep}]}}', shared_account=True)
    assert refusal.param == "messages"


LONG = json.dumps({"role": "user", "content": 'It says \\ "file_id": 7, and "audio":{"id":' * 6_000})


@pytest.mark.parametrize("fields", [fields for fields in KEPT if '"messages":[{' in fields])
def test_a_reference_is_found_in_a_large_body_too(fields: str) -> None:
    for large in (fields.replace("[{", f"[{LONG},{{", 1), fields[:-1] + f",{LONG}]"):
        assert refused(f'{{"model":"m",{large}}}', shared_account=True).param == "messages"


@pytest.mark.parametrize("fields", [fields for fields in NOT_KEPT if '"messages":[{' in fields])
def test_what_only_looks_like_a_reference_passes_in_a_large_body_too(fields: str) -> None:
    for large in (fields.replace("[{", f"[{LONG},{{", 1), fields[:-1] + f",{LONG}]"):
        written(f'{{"model":"m",{large}}}', shared_account=True)


texts = st.lists(st.sampled_from(["\\", '"', "a", '"file_id":', "{", "]", "é", "😀", "\n"]), max_size=5).map("".join)
keys = texts | st.sampled_from(["file_id", "audio", "id", "metadata", "voice", '"file_id', "file_id\\", "x" * 300])
found_in = st.recursive(
    texts | st.none() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3),
    max_leaves=10,
)


@given(found_in, st.booleans())
@example({"a\\": "\\", "file_id": 1}, False)
@example({'"file_id': 1}, False)
@example({"x" * 300: {"file_id": 1}}, False)
def test_size_makes_no_difference_to_what_is_found(value: Any, ascii_only: bool) -> None:
    small = json.dumps([value, "x"], ensure_ascii=ascii_only).encode().decode("latin-1")
    large = small.removesuffix('"x"]') + '"' + "x" * 200_001 + '"]'
    assert kept_reference("messages", large) == kept_reference("messages", small)
