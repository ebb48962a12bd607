"""Runs somebody else's suite, a script of its own, against a gateway."""

from __future__ import annotations

import asyncio
import sys


async def run_script(*arguments: str, within_s: float) -> tuple[int | None, str]:
    """Its exit code and all that it said; killed, with TimeoutError, when it takes longer."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(within_s):
            said = (await process.communicate())[0].decode(errors="replace")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode, said
