"""The headers that every answer carries. Pure.

The Content-Security-Policy lets a page load from this server and from nowhere else, and run nothing that stands in the
page itself: what a device sends can't become a script even where it would become markup.
"""

from __future__ import annotations

from typing import Final

CONTENT_SECURITY_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "font-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
_ALWAYS: Final = {
    "Server": "fieldgate",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_STRICT_TRANSPORT: Final = {"Strict-Transport-Security": "max-age=31536000"}


def standing_headers(*, is_tls: bool) -> dict[str, str]:
    """Those of every answer, errors too."""
    return {**_ALWAYS, **_STRICT_TRANSPORT} if is_tls else dict(_ALWAYS)
