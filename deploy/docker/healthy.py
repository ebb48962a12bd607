"""The container's health check: ask /healthz, and end with 0 when it says that the process is worth keeping.

FIELDGATE_HEALTH is the address, where it is not http://127.0.0.1:8080 (the receiver's is http://127.0.0.1:8081).
"""

import os
import ssl
import sys
import urllib.request

TIMEOUT_S = 8.0


def main() -> int:
    base = os.environ.get("FIELDGATE_HEALTH", "http://127.0.0.1:8080").rstrip("/")
    context = None
    if base.startswith("https://127.0.0.1"):
        # Nobody is between this process and the one beside it, and the certificate is for another name.
        context = ssl._create_unverified_context()  # noqa: S323
    no_proxy = urllib.request.ProxyHandler({})
    opener = urllib.request.build_opener(no_proxy, urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(f"{base}/healthz", timeout=TIMEOUT_S) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"{base}/healthz does not say that all is well: {error}", file=sys.stderr)  # noqa: T201
        return 1


if __name__ == "__main__":
    sys.exit(main())
