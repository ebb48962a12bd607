"""The services that a reader of "Users and rights" has already: one that signs tokens, one that is asked over HTTP.

Writes tokens.pem (the public key) and token (for press-1) into the current folder, and listens on 127.0.0.1:8090.
"""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import jwt

from tests.support.tokens import ec_pair

PASSWORD = "service-pass"


class Service(BaseHTTPRequestHandler):
    """Lets everybody in who knows the password, as the guide describes question and answer."""

    def do_POST(self) -> None:
        """One question."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        as_told = self.path == "/mqtt/auth" and set(asked) == {"client_id", "username", "password", "address"}
        is_right = as_told and asked["password"] == PASSWORD
        answer = json.dumps({"result": "allow" if is_right else "deny"}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


def main() -> None:
    """Sign one token, and answer until killed."""
    private, public = ec_pair()
    Path("tokens.pem").write_bytes(public)
    claims = {"sub": "press-1", "aud": "fieldgate", "iss": "https://login.example", "exp": int(time.time()) + 300}
    Path("token").write_text(jwt.encode(claims, private.decode(), "ES256"))
    server = HTTPServer(("127.0.0.1", 8090), Service)
    print("listens", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
