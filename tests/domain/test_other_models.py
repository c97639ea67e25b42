"""Other models beside a body's own: named, they are found, wherever they stand; merely mentioned, they are not."""

from __future__ import annotations

import pytest

from bailiwick.domain.requests import JsonForm, read_request

FORM = JsonForm(content="messages", optional=True, unnamed=True)
NAMING = {
    '"models":["b"]': "models",
    '"m\\u006fdels":["b"]': "models",
    '"fallbacks":"default"': "fallbacks",
    '"context_window_fallbacks":[{"a":["b"]}]': "context_window_fallbacks",
    '"route":"fallback"': "route",
    '"preset":"mine"': "preset",
    '"tools":[{"type":"image_generation","model":"b"}]': "tools",
    '"tools":[{"type":"image_generation","mod\\u0065l":"b"}]': "tools",
    '"tools":[{"type":"image_generation","svg":{"model":"b"}}]': "tools",
    '"tools":[{"type":"image_generation","model":"b","model":null}]': "tools",
    '"moderation":{"model":"b"}': "moderation",
    '"plugins":[{"id":"fusion","analysis_models":["b"]}]': "plugins",
    '"messages":[{"content":[{"tool_changes":[{"tool":{"definition":{"type":"advisor","model":"b"}}}]}]}]': "messages",
}
NAMING_NONE = [
    '"messages":[{"role":"user","content":"Which \\"model\\": this? And \\"models\\": which?"}]',
    '"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{"model":{}}}}}]',
    '"messages":[{"content":[{"type":"tool_use","name":"f","input":{"model":"b"}}]}]',
    '"messages":[{"content":[{"type":"fallback","from":{"model":"b"}}]}]',
    '"models":null,"fallbacks":[],"moderation":{"model":null}',
    '"user":"caf\\u00e9"',
]


@pytest.mark.parametrize("model", ['"model":"a",', '"model":"a-model",', ""])
@pytest.mark.parametrize("fields", NAMING)
def test_a_field_that_names_other_models_is_found(fields: str, model: str) -> None:
    assert read_request(f"{{{model}{fields}}}".encode(), FORM).others == NAMING[fields]
    assert read_request(f'{{{fields},{model}"x":1}}'.encode(), FORM).others == NAMING[fields]


@pytest.mark.parametrize("fields", NAMING_NONE)
def test_what_only_looks_like_another_model_is_none(fields: str) -> None:
    assert read_request(f'{{"model":"a-model",{fields}}}'.encode(), FORM).others is None
