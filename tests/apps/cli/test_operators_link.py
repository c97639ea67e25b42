"""People come into a real installation: by the link that the first start prints, and by another of the command's."""

from __future__ import annotations

import re
import subprocess
import sys

import httpx2

from tests.installation import Installation, clean_environment
from tests.serving import Site

PASSWORD = "a long walk by the sea"


def command(installation: Installation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bailiwick.apps.cli.main", "operators", "link", *arguments,
         "--data-dir", str(installation.folder)],
        capture_output=True, text=True, env=clean_environment(), check=False,
    )  # fmt: skip


def printed(text: str, url: str) -> str:
    found = re.findall(rf"^\s*{re.escape(url)}(/dashboard/sign-in/link/[A-Za-z0-9_-]{{43}})$", text, re.MULTILINE)
    assert len(found) == 1, text
    return str(found[0])


def come_in(http: httpx2.Client, path: str, **fields: str) -> httpx2.Response:
    return http.post(path, data={"password": PASSWORD, **fields}, headers={"origin": str(http.base_url).rstrip("/")})


def test_people_come_in_by_the_printed_link_and_by_one_of_the_command_line(site: Site) -> None:
    installation = site.installation
    first = printed(installation.output, installation.url)
    assert first not in (installation.folder / "bootstrap.json").read_text()
    with httpx2.Client(base_url=installation.url) as http:
        assert "There is no TLS here" in http.get("/dashboard/sign-in").text
        assert http.get("/dashboard/projects").status_code == 303
        answer = come_in(http, first, name="Ada", email="ada@example.com")
        assert answer.status_code == 303, answer.text
        assert "secure" not in answer.headers["set-cookie"].lower()
        assert http.get("/dashboard/projects").status_code == 200
        made = http.post("/admin/v1/tenants", json={"name": "No token"}, headers={"origin": installation.url})
        assert made.status_code == 403
        again = printed(command(installation, "--email", "ADA@example.com").stdout, installation.url)
        with httpx2.Client(base_url=installation.url) as other:
            assert come_in(other, again).status_code == 303
            assert other.get("/dashboard/projects").status_code == 200
        assert http.get("/dashboard/projects").status_code == 303
    unknown = command(installation, "--email", "nobody@example.com")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    ips = {row["ip"] for row in site.database.execute("SELECT ip FROM bailiwick.audit WHERE action = 'session.open'")}
    assert ips == {"127.0.0.1"}


def test_nobody_says_for_themselves_where_they_come_from(site: Site) -> None:
    with httpx2.Client(base_url=site.installation.url) as http:
        http.post(
            "/dashboard/sign-in",
            data={"email": "spoofed@example.com", "password": "x"},
            headers={
                "origin": site.installation.url, "x-forwarded-for": "203.0.113.9", "X_Forwarded_For": "203.0.113.9",
                "forwarded": "for=203.0.113.9", "x-real-ip": "203.0.113.9",
            },
        )  # fmt: skip
    (row,) = site.database.execute("SELECT ip FROM bailiwick.audit WHERE detail->>'email' = 'spoofed@example.com'")
    assert row["ip"] == "127.0.0.1"
