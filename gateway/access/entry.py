"""One `access` at work: who may come in.

The ways to prove who one is: certificate, password file, token, HTTP service. One proof is enough, so they are asked in
the order of what they cost. At once: the certificate that TLS has verified, a token, a password that was found right
before, an answer of the service that is still good. Then, in `decide`: the hash of the password file, and the service
after it.

A user who is not in the password file costs the same hash as one who is (the decoy), whatever other ways there are; so
the time of an answer does not tell who is. Whoever was wrong waits before he is heard again (`guesses`).

A verdict is of the files in force when it is given: one that was under way while they were read again is worked out
anew. Nothing stands between that last look and the return, so nobody comes in by what was true before.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final

from bridge.ports import Clock
from config.errors import ConfigError
from config.settings import Access
from gateway.access.errors import AccessError, unread
from gateway.access.filters import is_unsafe
from gateway.access.guesses import Guesses
from gateway.access.hashing import CannotCheck, HashingPool
from gateway.access.http_service import Answer, HttpService, ServiceBusy, ServiceUnavailable
from gateway.access.ports import Credentials, Granted, Refusal, Refused, Rights, Verdict
from gateway.access.token_shape import BadToken, looks_like_token
from gateway.access.verified import Verified
from gateway.access.ways import Change, ReadRules, Ways, change, read_ways

logger = logging.getLogger(__name__)

KEY_BYTES: Final = 32
SEED_BYTES: Final = 64


class AccessEntry:
    """A `gateway.access.ports.Entry`. All methods are called on the event loop; `close` ends it."""

    def __init__(
        self,
        ways: Ways,
        *,
        clock: Clock,
        read_rules: ReadRules,
        pool: HashingPool,
        seed: bytes,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._ways = ways
        self._clock = clock
        self._read_rules = read_rules
        self._pool = pool
        self._seed = seed
        self._random_bytes = random_bytes
        self._verified = Verified(random_bytes(KEY_BYTES))
        self._guesses = Guesses()
        self._http = self._make_http(ways.settings)
        self._change = Change(anonymous=ways.lets_anonymous_in)
        self._reloading = asyncio.Lock()

    @classmethod
    def open(
        cls,
        settings: Access,
        *,
        clock: Clock,
        read_rules: ReadRules,
        pool: HashingPool,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> AccessEntry:
        """Read the files. `pool` serves all accesses. Raises AccessError with everything that is wrong with them."""
        seed = random_bytes(SEED_BYTES)
        ways = read_ways(settings, read_rules=read_rules, seed=seed)
        return cls(ways, clock=clock, read_rules=read_rules, pool=pool, seed=seed, random_bytes=random_bytes)

    @property
    def name(self) -> str:
        """Its name in the settings."""
        return self._ways.settings.name

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        """What a client may do, by the rules of now."""
        return self._ways.rules.rights(client_id=client_id, username=username)

    def still_knows(self, username: str | None) -> bool:
        """Whether a user who came in before the last `reload` may stay.

        Not those whose line in the password file is another one or gone, those without a name where that is not allowed
        any more, and, where the key of tokens or the service is another one, nobody with a name.
        """
        return self._change.still_knows(username)

    def has_removed(self, username: str | None) -> bool:
        """Of a user who may not stay: whether the last `reload` found him taken out of the password file, or that those
        without a name are not let in any more."""
        return self._change.has_removed(username)

    def decide_now(self, credentials: Credentials) -> Verdict | None:
        """The verdict, where no hash and no service is needed; else None."""
        verdict = self._at_once(credentials)
        return self._with_names(credentials, verdict) if isinstance(verdict, Granted) else verdict

    async def decide(self, credentials: Credentials) -> Verdict:
        """The verdict. Never raises but CancelledError."""
        verdict = self.decide_now(credentials)
        if verdict is not None:
            return verdict
        try:
            verdict = await self._prove(credentials)
            return self._with_names(credentials, verdict) if isinstance(verdict, Granted) else verdict
        except Exception:  # a fault of ours must neither let anybody in nor end the listener's task
            logger.exception("The credentials of a client from %s could not be checked.", credentials.address)
            return Refused(reason=Refusal.SERVER_UNAVAILABLE, detail="An error in the gateway kept them unchecked.")

    async def reload(self, settings: Access | None = None) -> list[str]:
        """Read the files again, by new settings where they are given.

        Returns what is wrong with them, as sentences with file and line; then all that was in force before stays so.
        Ask `still_knows` afterwards for those who are connected.
        """
        async with self._reloading:
            try:
                after = await self.read(settings)
            except ConfigError as error:
                self.keep()
                return [str(problem) for problem in error.problems]
            retired = self.adopt(after)
            if retired is not None:
                await retired.close()
            # Who was let in by the old files in this very turn of the loop is connected in the next one. He has to be
            # before anybody asks who is still known, or nobody ever would ask of him.
            await asyncio.sleep(0)
            return []

    async def read(self, settings: Access | None = None) -> Ways:
        """Read the files, by new settings where they are given; changes nothing. Raises AccessError."""
        try:
            # In a thread: a long file must not hold up the event loop.
            return await asyncio.to_thread(
                read_ways,
                settings or self._ways.settings,
                read_rules=self._read_rules,
                seed=self._seed,
            )
        except ConfigError:
            raise
        except Exception as error:  # whatever it is: nobody may come in, or be thrown out, by files half read
            logger.exception("The files of the access %r could not be read.", self.name)
            raise AccessError([unread(self.name, error)]) from error

    def keep(self) -> None:
        """Nothing was adopted: everybody is known as before."""
        self._change = Change(anonymous=self._ways.lets_anonymous_in)

    def adopt(self, after: Ways) -> HttpService | None:
        """Have what was read in force; a service that is asked no more is returned, to be closed.

        Let the loop come round once before `still_knows` is asked: who was let in just now is connected then.
        """
        before, self._ways = self._ways, after
        self._change = change(before, after)
        self._verified.keep_only(after.users.hashes if after.users is not None else {})
        service = self._http
        if before.settings.http != after.settings.http:
            self._http = self._make_http(after.settings)
            return service
        if service is not None:
            service.forget()
        return None

    async def close(self) -> None:
        """Close the connections to the service; idempotent. The pool belongs to who made it."""
        if self._http is not None:
            await self._http.close()

    def _make_http(self, settings: Access) -> HttpService | None:
        return HttpService(settings.http, key=self._random_bytes(KEY_BYTES)) if settings.http.url is not None else None

    # ---- The ways, cheapest first ---------------------------------------------------------------------------------

    def _at_once(self, credentials: Credentials) -> Verdict | None:
        """What can be said without a hash and without the service, names not looked at yet."""
        ways = self._ways
        username, password = credentials.username, credentials.password
        if credentials.certificate_username:
            return self._grant(credentials.certificate_username)
        if not ways.settings.has_authentication or (not username and not password):
            return self._anonymous(credentials)
        detail = "The user name or the password is wrong."
        if ways.tokens is not None and password is not None and looks_like_token(password):
            try:
                holder = ways.tokens.check(password, now_s=self._clock.now_us() / 1e6)
                if username is None or username == holder.username:
                    return self._grant(holder.username, holder.valid_for_s)
                detail = "The user name is not the one in the token."
            except BadToken as error:
                detail = str(error)
        if username and password and ways.users is not None:
            hashed = ways.users.hashes.get(username)
            if hashed is not None and self._verified.holds(username, hashed, password):
                return self._grant(username)
        answer = None if self._http is None else self._http.remembered(credentials, now_s=self._clock.monotonic_s())
        if answer is not None and answer.allows:
            return self._grant(username, answer.valid_for_s)
        needs_hash = ways.users is not None and bool(username and password)
        needs_service = self._http is not None and answer is None
        if needs_hash or needs_service:
            return None
        return Refused(reason=Refusal.BAD_USERNAME_OR_PASSWORD, detail=detail)

    def _anonymous(self, credentials: Credentials) -> Verdict:
        """Nobody in particular; also who gives a name that nothing can prove: it is not believed, and not used."""
        ways = self._ways
        if ways.lets_anonymous_in and (credentials.is_local or not ways.lets_local_in):
            return self._grant(None)
        detail = f"The access {self.name!r} lets nobody in who does not prove who he is."
        if ways.lets_local_in:
            detail = (
                f"The access {self.name!r} has no way to prove who one is, and lets in clients of this machine only."
            )
        return Refused(reason=Refusal.NOT_AUTHORIZED, detail=detail)

    async def _prove(self, credentials: Credentials) -> Verdict:
        """Hash and service, after the time that whoever was wrong has to wait."""
        username, address = credentials.username, credentials.address
        if self._is_being_checked(credentials):
            # Devices that share a user come back together: they wait for one check and stand in nobody's way.
            return await self._by_hash_or_service(credentials)
        wait_s = self._guesses.admit(address=address, username=username, now_s=self._clock.monotonic_s())
        if wait_s is None:
            return Refused(
                reason=Refusal.SERVER_BUSY,
                detail="Too many tries of this user or address were wrong; more have to wait.",
            )
        was_wrong: bool | None = None
        try:
            if wait_s > 0:
                await asyncio.sleep(wait_s)
            verdict = await self._by_hash_or_service(credentials)
            if isinstance(verdict, Granted):
                was_wrong = False
            elif verdict.reason is Refusal.BAD_USERNAME_OR_PASSWORD:
                was_wrong = True
            return verdict
        finally:
            self._guesses.settle(
                address=address, username=username, was_wrong=was_wrong, now_s=self._clock.monotonic_s()
            )

    def _is_being_checked(self, credentials: Credentials) -> bool:
        users, username, password = self._ways.users, credentials.username, credentials.password
        if users is None or not username or not password or self._http is not None:
            return False
        # Of a user who is not there likewise: what is free for the one must not cost the other a try.
        return self._pool.is_checking(users.hashes.get(username) or users.decoy(username), password)

    async def _by_hash_or_service(self, credentials: Credentials) -> Verdict:
        """The verdict of files that are still in force when it is given."""
        while True:
            ways = self._ways
            verdict = self._at_once(credentials)  # it may have become known while we waited
            if verdict is None:
                verdict = await self._ask_all(credentials, ways)
            if self._ways is ways:
                return verdict

    async def _ask_all(self, credentials: Credentials, ways: Ways) -> Verdict:
        username, password = credentials.username, credentials.password
        if ways.users is not None and username and password:
            hashed = ways.users.hashes.get(username)

            def late(matches: bool) -> None:
                """The client left while its hash was worked on: it is not to find out nothing, or pay nothing."""
                if not matches or hashed is None:
                    now_s = self._clock.monotonic_s()
                    self._guesses.note_wrong(address=credentials.address, username=username, now_s=now_s)
                elif self._ways is ways:
                    self._verified.add(username, hashed, password)

            try:
                matches = await self._pool.matches(hashed or ways.users.decoy(username), password, late=late)
            except CannotCheck:
                return Refused(reason=Refusal.SERVER_BUSY, detail="Too many passwords wait to be checked.")
            if matches and hashed is not None:
                if self._ways is ways:
                    self._verified.add(username, hashed, password)
                return self._grant(username)
        if self._http is not None:
            answer = await self._ask_service(self._http, credentials)
            if isinstance(answer, Refused):
                return answer
            if answer.allows:
                return self._grant(username, answer.valid_for_s)
        return Refused(reason=Refusal.BAD_USERNAME_OR_PASSWORD, detail="The user name or the password is wrong.")

    async def _ask_service(self, service: HttpService, credentials: Credentials) -> Answer | Refused:
        now_s = self._clock.monotonic_s()
        answer = service.remembered(credentials, now_s=now_s)
        if answer is not None:
            return answer
        try:
            return await service.ask(credentials, now_s=now_s)
        except ServiceUnavailable as error:
            return Refused(reason=Refusal.SERVER_UNAVAILABLE, detail=str(error))
        except ServiceBusy:
            return Refused(reason=Refusal.SERVER_BUSY, detail="Too many wait for the service that knows the users.")

    # ---- What comes of it -----------------------------------------------------------------------------------------

    def _grant(self, username: str | None, valid_for_s: float | None = None) -> Granted:
        return Granted(access=self.name, username=username, valid_for_s=valid_for_s)

    def _with_names(self, credentials: Credentials, granted: Granted) -> Verdict:
        """Refuse names that the rules could take for something else."""
        ways, username, client_id = self._ways, granted.username, credentials.client_id
        if username == "":
            return Refused(reason=Refusal.BAD_USERNAME_OR_PASSWORD, detail="The user name is empty.")
        if ways.settings.client_id_is_username and client_id != username:
            return Refused(
                reason=Refusal.CLIENT_ID_NOT_VALID,
                detail=f"The client id has to be the user name, {username!r}."
                if username is not None
                else "The client id has to be the user name, and there is none.",
            )
        if ways.rules.uses_username and is_unsafe(username):
            return Refused(
                reason=Refusal.NOT_AUTHORIZED,
                detail="The user name holds +, # or /, or begins with $, and the rules put it into topics (%u).",
            )
        if ways.rules.uses_client_id and is_unsafe(client_id):
            return Refused(
                reason=Refusal.CLIENT_ID_NOT_VALID,
                detail="The client id holds +, # or /, or begins with $, and the rules put it into topics (%c).",
            )
        return granted
