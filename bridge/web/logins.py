"""Who has logged in from a browser: sessions, bounded in number and time. Pure: `now` in seconds of a monotonic clock.

A session is known by a random id, which is in the browser's cookie and nowhere else: kept is its hash, so that what is
in memory, or in a dump of it, lets nobody in. It ends when it was not used for `IDLE_S`, `LIFE_S` after its begin, at
logout, and when the user's password changes or the user leaves the file (his mark is another one, or none).
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

IDLE_S: Final = 12 * 3600.0
LIFE_S: Final = 7 * 86400.0
MAX_SESSIONS: Final = 1000
MAX_OF_USER: Final = 50
"""So that one user, or one script with his password, can't throw everybody else out."""
ID_BYTES: Final = 32

Mark = Callable[[str], str | None]
"""What changes with a user's password; None: no such user."""


@dataclass(slots=True)
class _Session:
    user: str
    mark: str
    begun_s: float
    used_s: float


class Logins:
    """The sessions. When there is no room, whichever was not used for longest goes."""

    def __init__(self, *, max_sessions: int = MAX_SESSIONS, max_of_user: int = MAX_OF_USER) -> None:
        self._sessions: OrderedDict[bytes, _Session] = OrderedDict()
        """By the hash of the id; the one used last is at the end."""
        self._max_sessions = max_sessions
        self._max_of_user = max_of_user

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, session_id: str, user: str, mark: str, now_s: float) -> None:
        """A user has logged in. `session_id` is new and random."""
        self._forget_old(now_s)
        own = [key for key, session in self._sessions.items() if session.user == user]
        for key in own[: max(0, len(own) - self._max_of_user + 1)]:
            del self._sessions[key]
        while len(self._sessions) >= self._max_sessions:
            self._sessions.popitem(last=False)
        self._sessions[_hashed(session_id)] = _Session(user, mark, now_s, now_s)

    def user_of(self, session_id: str, mark_of: Mark, now_s: float) -> str | None:
        """Whose session it is; None when there is none, or it has ended. It counts as used."""
        key = _hashed(session_id)
        session = self._sessions.get(key)
        if session is None:
            return None
        if _is_over(session, now_s) or mark_of(session.user) != session.mark:
            del self._sessions[key]
            return None
        session.used_s = now_s
        self._sessions.move_to_end(key)
        return session.user

    def end(self, session_id: str) -> bool:
        """Log out; whether there was such a session."""
        return self._sessions.pop(_hashed(session_id), None) is not None

    def keep_known(self, mark_of: Mark) -> int:
        """End the sessions of users who left the file or have another password now. Returns how many ended."""
        ended = [key for key, session in self._sessions.items() if mark_of(session.user) != session.mark]
        for key in ended:
            del self._sessions[key]
        return len(ended)

    def _forget_old(self, now_s: float) -> None:
        for key in [key for key, session in self._sessions.items() if _is_over(session, now_s)]:
            del self._sessions[key]


def _is_over(session: _Session, now_s: float) -> bool:
    return now_s - session.used_s >= IDLE_S or now_s - session.begun_s >= LIFE_S


def _hashed(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode(errors="surrogateescape")).digest()
