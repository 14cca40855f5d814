"""What every answer carries: a strict content security policy, and that nothing of it stays in a cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flask import Flask, Response, request

# Plotly sets styles of elements, which a policy can only allow as a whole; scripts are the files of this server and the
# one line that starts Dash, by its hash.
_POLICY = {
    "default-src": "'none'",
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
    "object-src": "'none'",
}
STATIC = ("/assets/", "/_dash-component-suites/", "/_favicon.ico")
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def policy(script_hashes: Sequence[str]) -> str:
    """The content security policy; inline scripts run only if their hash is among `script_hashes`."""
    parts = {**_POLICY, "script-src": " ".join(["'self'", *script_hashes])}
    return "; ".join(f"{name} {value}" for name, value in parts.items())


def protect(server: Flask, script_hashes: Callable[[], Sequence[str]], *, secure: bool) -> None:
    """Put the headers on every answer of the server.

    script_hashes: asked for each page, since Dash adds inline scripts of its own with the first request. `secure`: the
    server is reached by HTTPS only.
    """
    headers = {**_HEADERS, "Strict-Transport-Security": "max-age=31536000"} if secure else _HEADERS

    @server.after_request
    def add(response: Response) -> Response:
        for name, value in headers.items():
            response.headers[name] = value
        hashes = script_hashes() if response.mimetype == "text/html" else ()
        response.headers["Content-Security-Policy"] = policy(hashes)
        if not request.path.startswith(STATIC):
            response.headers["Cache-Control"] = "no-store"
        return response
