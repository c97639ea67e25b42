"""OpenID providers for tests: the real one of `oidc-provider-mock`, and one that does wrong whatever a test says."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, final
from urllib.parse import parse_qs, urlsplit

from joserfc import jws, jwt
from joserfc.jwk import ECKey, RSAKey

_FREE = jws.JWSRegistry(algorithms=["ES256", "RS256"], strict_check_header=False)
Change = Callable[[dict[str, Any]], None]


@final
@dataclass(kw_only=True)
class Provider:
    """A provider in this process, which keeps to the standards but for what is bent."""

    client_id: str = "bailiwick"
    now: Callable[[], float] = time.time
    key: ECKey | RSAKey = field(
        default_factory=lambda: ECKey.generate_key("P-256", {"kid": "k1", "use": "sig", "alg": "ES256"})
    )
    url: str = ""
    bend_claims: Change = lambda _claims: None
    bend_configuration: Change = lambda _configuration: None
    token: Callable[[str], str] = lambda made: made
    status: int = 200
    path: str = ""
    alg: str = "ES256"
    asked: list[dict[str, str]] = field(default_factory=list)
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)

    @contextmanager
    def running(self) -> Iterator[Provider]:
        """Serve until the end of the block."""
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, provider._get(self.path))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                form = {name: values[0] for name, values in parse_qs(body).items()}
                provider._answer(self, provider._redeem(form, self.headers.get("authorization", "")))

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}{self.path}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def consent(self, address: str, **claims: object) -> str:
        """What somebody who is known here gets for the address that they were sent to: the query to come back with."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        code = hashlib.sha256(f"{address}{len(self._codes)}".encode()).hexdigest()
        self._codes[code] = {**asked, "claims": json.dumps(claims)}
        return f"code={code}&state={asked['state']}"

    def issue(self, claims: Mapping[str, Any], *, now: float | None = None, **header: object) -> str:
        """An access token of this provider; what is not said of it is as most have it, and None is left out."""
        at = int(self.now() if now is None else now)
        said = {"iss": self.url, "iat": at, "exp": at + 300, **claims}
        members = {"alg": self.alg, "kid": "k1", "typ": "JWT", **header}
        members = {name: value for name, value in members.items() if value is not None}
        return jws.serialize_compact(members, json.dumps(said), self.key, registry=_FREE)

    def _answer(self, handler: BaseHTTPRequestHandler, document: dict[str, Any] | None) -> None:
        body = json.dumps(document or {"error": "invalid_grant"}).encode()
        handler.send_response(self.status if document is not None else 400)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def _get(self, path: str) -> dict[str, Any] | None:
        # An issuer may end with a slash; what is below it does not begin with two.
        path, base = path.removeprefix(self.path.rstrip("/")), self.url.rstrip("/")
        if path == "/.well-known/openid-configuration":
            configuration: dict[str, Any] = {
                "issuer": self.url,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
            }
            self.bend_configuration(configuration)
            return configuration
        return {"keys": [self.key.as_dict(private=False)]} if path in ("/jwks", "/.well-known/jwks.json") else None

    def _redeem(self, form: dict[str, str], authorization: str) -> dict[str, Any] | None:
        self.asked.append({**form, "authorization": authorization})
        # A code is good once, and with the verifier of its challenge (RFC 7636 §4.6).
        begun = self._codes.pop(form.get("code", ""), None)
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        if begun is None or base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() != begun["code_challenge"]:
            return None
        if form["redirect_uri"] != begun["redirect_uri"]:
            return None
        now = int(self.now())
        claims: dict[str, Any] = {
            "iss": self.url, "aud": self.client_id, "sub": "subject-1", "iat": now, "exp": now + 300,
            "nonce": begun["nonce"], "email": f"{self.url[-5:]}@example.com", "email_verified": True, "name": "Ada",
            **json.loads(begun["claims"]),
        }  # fmt: skip
        self.bend_claims(claims)
        made = jwt.encode({"alg": "ES256", "kid": "k1"}, claims, self.key, algorithms=["ES256"])
        return {"access_token": "x", "token_type": "Bearer", "id_token": self.token(made)}
