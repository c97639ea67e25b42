"""What holds of every command that administers: where it asks, what it writes where, how it ends."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from bailiwick.apps.cli.admin.output import bar, plain
from tests.apps.cli.commands import Commands, commands
from tests.control import UNKNOWN
from tests.installation import clean_environment, free_port
from tests.serving import Site


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


@pytest.fixture
def hostile(site: Site) -> Iterator[str]:
    """A tenant whose name would clear the screen, turn the line around and be red."""
    made = site.admin.tenant("[red]\u202eevil\u202c[/red]", slug=f"hostile-{os.urandom(4).hex()}")
    yield str(made["slug"])
    site.admin.request("DELETE", f"/tenants/{made['id']}")


def test_json_is_exactly_what_the_control_plane_answers(shell: Commands, site: Site) -> None:
    answer = site.admin.request("GET", "/tenants?limit=3").text
    assert shell.run("tenants", "list", "--limit", "3", "--json").out == answer + "\n"


def test_a_list_is_paged_and_says_how_to_go_on(shell: Commands, site: Site) -> None:
    made = [site.admin.tenant(f"Page {number}")["id"] for number in range(2)]
    first = shell.run("tenants", "list", "--limit", "1")
    assert len(first.out.splitlines()) == 2
    assert re.fullmatch(r"there are more: --after ten_\w{26}\n", first.err)
    assert made[1] in shell.run("tenants", "list", "--limit", "200", "--after", made[0]).out


def test_a_refusal_is_one_line_with_its_code_and_request_and_one_for_each_field(shell: Commands) -> None:
    refused = shell.run("tenants", "create", "", "--slug", "No Slug")
    first, *fields = refused.err.splitlines()
    assert re.fullmatch(r"bailiwick: unprocessable: .* \(request req_[0-9a-f]{32}\)", first), first
    assert sorted(line.split(":")[0] for line in fields) == ["  name", "  slug"]
    assert (refused.status, refused.out) == (1, "")


def test_a_key_that_is_none_is_told_so(shell: Commands) -> None:
    refused = shell.run("tenants", "list", BAILIWICK_ADMIN_KEY="bwa_live_nonsense")
    assert refused.status == 1
    assert refused.err.startswith("bailiwick: invalid_credentials: ")


def test_who_cannot_be_reached_is_trouble_not_refusal(shell: Commands) -> None:
    gone = shell.run("tenants", "list", "--url", f"http://127.0.0.1:{free_port()}")
    assert gone.status == 3
    assert "cannot be reached" in gone.err


def test_what_is_no_installation_is_told_so(shell: Commands, site: Site) -> None:
    odd = shell.run("tenants", "list", "--url", site.upstream.base_url)
    assert odd.status == 3
    assert "is no installation of Bailiwick" in odd.err


def test_the_data_folder_says_where_and_with_which_key(site: Site) -> None:
    inside = ("--data-dir", str(site.installation.folder))
    unset = Commands(variables={"BAILIWICK_BASE_URL": None, "BAILIWICK_ADMIN_KEY": None})
    found = unset.run("tenants", "list", *inside)
    assert found.status == 0, found.err
    assert unset.run("tenants", "list", "--data-dir", "/nowhere").status == 2


def test_the_data_folders_key_goes_to_no_other_address(site: Site) -> None:
    inside = ("--data-dir", str(site.installation.folder))
    unset = Commands(variables={"BAILIWICK_BASE_URL": None, "BAILIWICK_ADMIN_KEY": None})
    refused = unset.run("tenants", "list", "--url", site.upstream.base_url, *inside)
    assert refused.status == 2
    assert site.upstream.requests == []


def test_a_redirect_is_not_followed(shell: Commands) -> None:
    asked: list[str] = []

    class Redirecting(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(307)
            self.send_header("Location", "/elsewhere")
            self.end_headers()

    with ThreadingHTTPServer(("127.0.0.1", 0), Redirecting) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        answered = shell.run("tenants", "show", UNKNOWN["ten"], "--url", f"http://127.0.0.1:{server.server_port}")
        server.shutdown()
    assert (answered.status, asked) == (3, [f"/admin/v1/tenants/{UNKNOWN['ten']}"])


def test_what_cannot_be_undone_wants_a_yes(shell: Commands, site: Site) -> None:
    made = site.admin.tenant("Stays")
    refused = shell.run("tenants", "delete", made["id"])
    assert (refused.status, refused.err) == (2, "bailiwick: this cannot be undone: say --yes\n")
    assert shell.run("tenants", "show", made["id"]).status == 0


def test_what_others_wrote_is_shown_and_not_obeyed(shell: Commands, hostile: str) -> None:
    shown = shell.run("tenants", "show", hostile).out
    assert r"[red]\u202eevil\u202c[/red]" in shown
    assert plain("a\x1b[2Jb\u2028c\rd") == r"a\u001b[2Jb\u2028c\u000dd"


def test_at_a_terminal_a_table_is_drawn_without_obeying_markup(site: Site, hostile: str) -> None:
    shown = at_terminal(site, "tenants", "show", hostile)
    assert r"[red]\u202eevil\u202c[/red]" in re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert "\x1b[" in shown


def test_at_a_terminal_usage_has_bars(site: Site) -> None:
    caller = site.project()
    caller.chat()
    assert "█" * 24 in at_terminal(site, "usage", "--project", caller.id)
    assert [bar(value, 192) for value in (0, 1, 9, 192)] == ["", "▏", "█▏", "█" * 24]


def test_completion_is_offered_for_the_shell() -> None:
    assert "--install-completion" in Commands().run("--help").out


def at_terminal(site: Site, *words: str) -> str:
    """What a command writes at a terminal that is wide enough."""
    ours, theirs = pty.openpty()
    variables = commands(site).variables
    environment = clean_environment({name: value for name, value in variables.items() if value is not None})
    subprocess.run(
        [sys.executable, "-m", "bailiwick.apps.cli.main", *words],
        stdout=theirs, check=True, env={**environment, "COLUMNS": "200", "TERM": "xterm"}, timeout=60,
        cwd=Path(__file__).parents[3],
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    try:
        while part := os.read(ours, 65536):
            shown += part
    except OSError:
        pass  # the other end is closed
    os.close(ours)
    return shown.decode()
