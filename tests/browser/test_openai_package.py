"""The unchanged `openai` package of npm in a page of a real browser: it works, and what is refused can be read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.sync_api import Browser, Page

from bailiwick.domain.usage import Outcome
from tests.browser.site import served
from tests.serving import ASK, BASE_DOMAIN, MODEL, Caller, Site, until
from tests.upstream import Behaviour, Upstream
from tests.upstream.behaviour import Ending

pytestmark = pytest.mark.slow

HOW_TO: Final = Path(__file__).parents[2] / "docs" / "how-to" / "call-from-a-browser.md"
CHAT: Final = {"model": MODEL, "messages": ASK}
TEXT: Final = "The capital of France is Paris."
# A page's script, with OpenAI's client at hand; of an error that it meets, all that a page can see.
RUN: Final = """async ([script, options, given]) => {
  const client = new window.OpenAI({ dangerouslyAllowBrowser: true, maxRetries: 0, ...options });
  try {
    return { value: await eval(script)(client, given) };
  } catch (error) {
    const { status, code, type, message, headers } = error;
    const name = error.constructor.name;
    return { error: { name, status, code, type, message, headers: Object.fromEntries(headers ?? []) } };
  }
}"""
WHOLE: Final = "async (client, given) => (await client.chat.completions.create(given)).choices[0].message.content"
STREAM: Final = """async (client, given) => {
  const seen = [];
  try {
    for await (const chunk of await client.chat.completions.create({ ...given, stream: true })) {
      seen.push(chunk.choices[0]?.delta?.content ?? "");
    }
  } catch (error) {
    return { seen, code: error.code, message: error.message };
  }
  return { seen };
}"""


@pytest.fixture(scope="module")
def port(browser: Browser) -> Iterator[int]:
    """Of the site whose pages ask."""
    with served() as made:
        yield made


def opened(browser: Browser, address: str) -> Page:
    page = browser.new_page()
    page.goto(address)
    page.wait_for_function("() => window.OpenAI !== undefined")
    return page


@pytest.fixture(scope="module")
def page(browser: Browser, port: int) -> Page:
    """A page of the origin that projects list."""
    return opened(browser, f"http://127.0.0.1:{port}/")


@pytest.fixture(scope="module")
def strange_page(browser: Browser, port: int) -> Page:
    """The same page at an origin that nobody lists."""
    return opened(browser, f"http://localhost:{port}/")


@pytest.fixture
def caller(site: Site, port: int) -> Caller:
    """A project that lists the page, and its key."""
    return project(site, port)


def project(site: Site, port: int, **fields: Any) -> Caller:
    return site.project(cors_origins=[f"http://127.0.0.1:{port}"], **fields)


def run(page: Page, caller: Caller, script: str, given: object = CHAT, **options: object) -> dict[str, Any]:
    """What a page's script returns (`value`), or the error that it meets (`error`)."""
    address = f"{caller.site.installation.url}/p/{caller.project['slug']}/v1"
    told: dict[str, Any] = page.evaluate(RUN, [script, {"baseURL": address, "apiKey": caller.key, **options}, given])
    return told


def test_a_whole_answer_arrives(page: Page, caller: Caller) -> None:
    assert run(page, caller, WHOLE) == {"value": TEXT}
    assert caller.row()["outcome"] == Outcome.COMPLETED


def test_a_stream_arrives_piece_by_piece(page: Page, caller: Caller) -> None:
    told = run(page, caller, STREAM)["value"]
    assert "".join(told["seen"]) == TEXT
    assert len([piece for piece in told["seen"] if piece]) > 1
    assert caller.row()["streamed"]


def test_the_project_can_be_named_by_the_host(page: Page, caller: Caller) -> None:
    address = f"http://{caller.project['slug']}.{BASE_DOMAIN}:{caller.site.installation.port}/v1"
    assert run(page, caller, WHOLE, baseURL=address) == {"value": TEXT}


def test_a_recording_is_sent_as_a_form_and_sound_comes_back(page: Page, caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/audio/transcriptions", Behaviour(body=b'{"text":"Hello."}'))
    script = """async (client, model) => (await client.audio.transcriptions.create(
      { model, file: new File([new Uint8Array(2000)], "speech.mp3", { type: "audio/mpeg" }) })).text"""
    assert run(page, caller, script, "whisper-1") == {"value": "Hello."}
    sound = b"\xff\xfb" * 40_000
    upstream.on("/v1/audio/speech", Behaviour(body=sound, headers=(("content-type", "audio/mpeg"),)))
    script = """async (client, model) => (await (await client.audio.speech.create(
      { model, voice: "alloy", input: "Hello." })).arrayBuffer()).byteLength"""
    assert run(page, caller, script, "tts-1") == {"value": len(sound)}


def test_every_header_of_ours_can_be_read(site: Site, port: int, page: Page) -> None:
    caller = project(site, port, limits={"key": {"requests": 5, "per": "1h"}})
    script = """async (client, given) => {
      const { data, response, request_id } = await client.chat.completions.create(given).withResponse();
      return [Object.fromEntries(response.headers), request_id, data._request_id];
    }"""
    headers, request_id, same = run(page, caller, script)["value"]
    # What is at hand without a browser between, but for what is none of a page's business.
    plain = {name for name in caller.chat().headers if not name.startswith("transfer")}
    assert set(headers) == plain | {"content-type", "content-length"}
    assert headers["x-ratelimit-remaining-requests"] == "4"
    assert request_id == same == headers["x-request-id"]


@pytest.mark.parametrize(
    ("key", "given", "name", "status", "code", "kind"),
    [
        ("nothing", CHAT, "AuthenticationError", 401, "invalid_credentials", "authentication_error"),
        (None, {"model": "agent/x", "messages": ASK}, "NotFoundError", 404, "model_not_found", "not_found_error"),
        (None, {"model": MODEL}, "BadRequestError", 400, "invalid_request", "invalid_request_error"),
    ],
)
def test_a_refusal_is_the_packages_own_error(
    page: Page, caller: Caller, key: str | None, given: object, name: str, status: int, code: str, kind: str
) -> None:
    error = run(page, caller, WHOLE, given, apiKey=key or caller.key)["error"]
    assert (error["name"], error["status"], error["code"], error["type"]) == (name, status, code, kind)
    assert error["message"].startswith(f"{status} ")
    assert error["headers"]["x-request-id"].startswith("req_")


def test_a_page_can_read_when_to_come_back_and_the_package_does_by_itself(site: Site, port: int, page: Page) -> None:
    caller = project(site, port, limits={"key": {"requests": 1, "per": "3s"}})
    assert run(page, caller, WHOLE) == {"value": TEXT}
    error = run(page, caller, WHOLE)["error"]
    assert (error["name"], error["status"], error["code"]) == ("RateLimitError", 429, "rate_limited")
    assert 1 <= int(error["headers"]["retry-after"]) <= 3
    assert error["headers"]["x-ratelimit-remaining-requests"] == "0"
    # By itself it would try again after half a second, and once.
    assert run(page, caller, WHOLE, maxRetries=1) == {"value": TEXT}


def test_the_package_does_not_try_again_what_can_never_pass(site: Site, port: int, page: Page) -> None:
    caller = project(site, port, limits={"key": {"tokens": 10, "per": "1h"}})
    script = """async (client, given) => {
      const fetched = [];
      client = client.withOptions({ fetch: (url, init) => { fetched.push(url); return fetch(url, init); } });
      await client.chat.completions.create(given).catch(() => null);
      return fetched.length;
    }"""
    assert run(page, caller, script, maxRetries=2) == {"value": 1}


@pytest.mark.parametrize(("upstream_status", "status"), [(500, 500), (401, 502)])
def test_a_providers_failure_can_be_read(
    page: Page, caller: Caller, upstream: Upstream, upstream_status: int, status: int
) -> None:
    upstream.on("/v1/chat/completions", Behaviour(status=upstream_status, body=b"{}"))
    error = run(page, caller, WHOLE)["error"]
    assert (error["name"], error["status"], error["code"]) == ("InternalServerError", status, "provider_error")


def test_a_stream_that_breaks_is_an_error_after_what_had_come(page: Page, caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", Behaviour(ending=Ending.RESET, after=3))
    told = run(page, caller, STREAM)["value"]
    assert TEXT.startswith("".join(told["seen"]))
    assert any(told["seen"])
    assert told["code"] == "provider_error"


def test_a_page_that_ends_its_stream_ends_the_call(page: Page, caller: Caller, upstream: Upstream) -> None:
    upstream.on("/v1/chat/completions", Behaviour(chunks=200, gap=0.05))
    script = """async (client, given) => {
      for await (const chunk of await client.chat.completions.create({ ...given, stream: true })) {
        if (chunk.choices[0]?.delta?.content) break;
      }
    }"""
    assert "error" not in run(page, caller, script)
    assert caller.row()["outcome"] == Outcome.CLIENT_GONE


def test_a_key_for_a_visit_ends_by_itself_and_says_so(site: Site, page: Page, caller: Caller) -> None:
    """As an application's server would make one for each visitor."""
    ends = datetime.now(UTC) + timedelta(seconds=2)
    visit = site.caller(caller.project, scopes=["chat:create"], models=[MODEL], expires_at=ends.isoformat())
    assert run(page, visit, WHOLE) == {"value": TEXT}
    assert run(page, visit, "(client) => client.models.list()")["error"]["code"] == "forbidden"
    until(lambda: datetime.now(UTC) > ends)
    error = run(page, visit, WHOLE)["error"]
    assert (error["name"], error["status"], error["code"]) == ("AuthenticationError", 401, "expired_credentials")


def test_a_page_of_another_origin_is_stopped_by_the_browser_and_reaches_no_provider(
    strange_page: Page, caller: Caller
) -> None:
    for script in (WHOLE, "(client) => client.models.list()"):
        error = run(strange_page, caller, script)["error"]
        assert (error["name"], error["status"], error["headers"]) == ("APIConnectionError", None, {})
    told = run(strange_page, caller, STREAM)["value"]
    assert (told["seen"], told["message"]) == ([], "Connection error.")
    caller.assert_untouched()


def test_without_the_project_in_the_address_a_page_gets_no_further_than_the_preflight(
    page: Page, caller: Caller
) -> None:
    error = run(page, caller, WHOLE, baseURL=f"{caller.site.installation.url}/v1")["error"]
    assert error["name"] == "APIConnectionError"
    caller.assert_untouched()


def test_an_origin_that_is_taken_off_the_list_is_stopped(page: Page, caller: Caller) -> None:
    """Also when the browser remembers that it was allowed."""
    assert run(page, caller, WHOLE) == {"value": TEXT}
    caller.change(cors_origins=[])
    until(lambda: "error" in run(page, caller, WHOLE), patience=2.0)
    assert run(page, caller, WHOLE)["error"]["name"] == "APIConnectionError"


def test_the_page_of_the_how_to_works_as_it_stands(page: Page, caller: Caller) -> None:
    (script,) = re.findall(r"```js\n(.*?)```", HOW_TO.read_text("utf-8"), re.DOTALL)
    address = f"{caller.site.installation.url}/p/{caller.project['slug']}/v1"
    minted = caller.ask("POST", "/v1/auth/mint", json={"user_id": "visitor-1", "scopes": ["chat:create"]}).json()[
        "token"
    ]
    for theirs, ours in (("https://gateway.example.com/p/my-app/v1", address), ("eyJ…", minted)):
        assert theirs in script
        script = script.replace(theirs, ours)
    page.add_script_tag(content=script, type="module")
    page.wait_for_function("document.body.textContent.includes('You said: Hello')", timeout=10_000)
