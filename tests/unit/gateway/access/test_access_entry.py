"""One access at work: every way to prove who one is, and what happens while files are read again."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import jwt
import pytest

from config.errors import ConfigError, Problem
from config.settings import Access, Anonymous, Effect, HttpAuthentication, Jwt, Rule
from gateway.access import guesses
from gateway.access.entry import AccessEntry
from gateway.access.errors import AccessError
from gateway.access.hashing import CannotCheck, HashingPool, Late
from gateway.access.password_hash import PasswordHash
from gateway.access.ports import UNLIMITED, Credentials, Entry, Granted, Refusal, Refused, Rights, Rules
from gateway.access.rights import Authorization
from gateway.access.ways import NoRules
from tests.support.auth_service import AuthService, serving
from tests.support.passwords import MOSQUITTO_LINES, quick_hash, write_lines, write_users
from tests.support.tokens import SECRET

NOW_S = 1_700_000_000
TIMEOUT_S = 30.0


class StandingClock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def monotonic_s(self) -> float:
        return self.now_s

    def now_us(self) -> int:
        return int((NOW_S + self.now_s) * 1e6)


class CountingPool(HashingPool):
    """Counts the hashes that are asked for, by kind; and may hold the answer back."""

    def __init__(self) -> None:
        super().__init__(threads=1)
        self.kinds: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()
        self.is_full = False

    async def matches(self, hashed: PasswordHash, password: bytes, *, late: Late | None = None) -> bool:
        if self.is_full:
            raise CannotCheck
        self.kinds.append(hashed.kind)
        matches = await super().matches(hashed, password, late=late)
        self.asked.set()
        await self.may_answer.wait()
        return matches


@dataclass(frozen=True, slots=True, kw_only=True)
class SomeRules:
    """Rules that put names into topics, or don't."""

    uses_username: bool = False
    uses_client_id: bool = False

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        return UNLIMITED


@pytest.fixture
async def pool() -> AsyncIterator[CountingPool]:
    pool = CountingPool()
    yield pool
    pool.close()


Opener = Callable[..., AccessEntry]


@pytest.fixture
def clock() -> StandingClock:
    return StandingClock()


@pytest.fixture
async def entry_of(pool: CountingPool, clock: StandingClock) -> AsyncIterator[Opener]:
    made = []

    def make(rules: Rules | None = None, **settings: Any) -> AccessEntry:
        if rules is not None:
            settings["rules"] = (Rule(name="any", effect=Effect.ALLOW),)
        entry = AccessEntry.open(Access(**settings), clock=clock, read_rules=lambda _: rules or NoRules(), pool=pool)
        made.append(entry)
        return entry

    yield make
    for entry in made:
        await entry.close()


@pytest.fixture
def passwords(tmp_path: Path) -> Path:
    return write_users(tmp_path / "passwords", {"alice": "secret", "bob": "secret2"})


@pytest.fixture
def token_settings(tmp_path: Path) -> Jwt:
    path = tmp_path / "token.key"
    path.write_bytes(SECRET)
    path.chmod(0o600)
    return Jwt(key_file=path, algorithm="HS256")


@pytest.fixture
async def service() -> AsyncIterator[AuthService]:
    async with serving() as service:
        yield service


def who(username: str | None = None, password: str | bytes | None = None, **more: Any) -> Credentials:
    data = password.encode() if isinstance(password, str) else password
    return Credentials(**({"client_id": "c1", "username": username, "password": data, "address": "10.0.0.7"} | more))


def token_for(username: str, *, exp_s: float = NOW_S + 100) -> str:
    return jwt.encode({"sub": username, "exp": exp_s}, SECRET, algorithm="HS256")


def outcome(verdict: object) -> object:
    """The user name that was let in (in a tuple), or the reason why not."""
    if isinstance(verdict, Granted):
        return (verdict.username,)
    assert isinstance(verdict, Refused)
    assert verdict.detail.endswith(".")
    return verdict.reason


BAD = Refusal.BAD_USERNAME_OR_PASSWORD
DENIED = Refusal.NOT_AUTHORIZED


def test_it_is_an_entry(entry_of: Opener) -> None:
    entry: Entry = entry_of(name="plant")
    assert entry.name == "plant"
    assert entry.rights(client_id="c", username=None).is_unlimited
    verdict = entry.decide_now(who(is_local=True))
    assert verdict == Granted(access="plant", username=None)


# ---- Nobody in particular ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("anonymous", "has_file", "is_local", "expected"),
    [
        (Anonymous.LOCAL, False, True, (None,)),
        (Anonymous.LOCAL, False, False, DENIED),
        (Anonymous.LOCAL, True, True, DENIED),
        (Anonymous.LOCAL, True, False, DENIED),
        (Anonymous.ALLOW, False, False, (None,)),
        (Anonymous.ALLOW, True, False, (None,)),
        (Anonymous.REFUSE, False, True, DENIED),
        (Anonymous.REFUSE, True, True, DENIED),
    ],
)
def test_who_does_not_say_who_he_is_comes_in_where_the_settings_say_so(
    entry_of: Opener, passwords: Path, anonymous: Anonymous, has_file: bool, is_local: bool, expected: object
) -> None:
    entry = entry_of(anonymous=anonymous, password_file=passwords if has_file else None)
    for username, password in ((None, None), ("", None), (None, ""), ("", "")):
        assert outcome(entry.decide_now(who(username, password, is_local=is_local))) == expected


def test_a_name_that_nothing_can_prove_is_not_used(entry_of: Opener) -> None:
    entry = entry_of(anonymous=Anonymous.ALLOW)
    assert outcome(entry.decide_now(who("admin", "x"))) == (None,)


async def test_a_wrong_password_is_not_let_in_as_anonymous(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(anonymous=Anonymous.ALLOW, password_file=passwords)
    assert outcome(await entry.decide(who("alice", "wrong"))) is BAD
    assert outcome(entry.decide_now(who("alice"))) is BAD


def test_a_verified_certificate_is_believed_whatever_connect_says(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(password_file=passwords, anonymous=Anonymous.REFUSE)
    assert outcome(entry.decide_now(who("bob", "wrong", certificate_username="alice"))) == ("alice",)
    assert outcome(entry.decide_now(who(certificate_username=""))) is DENIED


# ---- Password file -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("username", "password", "expected"),
    [
        ("alice", "secret", ("alice",)),
        ("bob", "secret2", ("bob",)),
        ("alice", "secret2", BAD),
        ("alice", "secret\0", BAD),
        ("Alice", "secret", BAD),
        ("nobody", "secret", BAD),
        ("alice", "", BAD),
        ("alice", None, BAD),
        ("", "secret", BAD),
        (None, "secret", BAD),
        ("alice", b"\xff\xfe", BAD),
        ("alice", b"x" * 65535, BAD),
    ],
)
async def test_the_password_file_decides(
    entry_of: Opener, passwords: Path, username: str | None, password: Any, expected: object
) -> None:
    entry = entry_of(password_file=passwords)
    assert outcome(await entry.decide(who(username, password))) == expected


async def test_a_file_of_mosquitto_is_read_as_it_is(entry_of: Opener, tmp_path: Path) -> None:
    entry = entry_of(password_file=write_lines(tmp_path / "passwords", *MOSQUITTO_LINES))
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert outcome(await entry.decide(who("bob", "secret2"))) == ("bob",)
    assert outcome(await entry.decide(who("bob", "secret"))) is BAD


async def test_an_unknown_user_costs_the_very_hash_that_a_known_one_costs(
    entry_of: Opener, passwords: Path, pool: CountingPool
) -> None:
    entry = entry_of(password_file=passwords)
    await entry.decide(who("alice", "wrong"))
    known = list(pool.kinds)
    pool.kinds.clear()
    await entry.decide(who("nobody", "wrong"))
    assert pool.kinds == known
    assert len(known) == 1


async def test_many_that_ask_the_same_at_once_do_not_tell_whether_the_user_is_known(
    entry_of: Opener, passwords: Path
) -> None:
    """A check that is at work already is waited for and is no try of its own: for known and unknown names alike."""
    found = []
    for username in ("alice", "nobody"):
        entry = entry_of(password_file=passwords)
        await asyncio.gather(*(entry.decide(who(username, "wrong")) for _ in range(30)))
        found.append([outcome(await entry.decide(who(username, f"wrong{number}"))) for number in range(2)])
    assert found[0] == found[1] == [BAD, BAD]


async def test_two_unknown_names_that_ask_at_once_cost_a_hash_each(
    entry_of: Opener, passwords: Path, pool: CountingPool
) -> None:
    """With one hash for both, the second would be answered sooner than a known user is."""
    entry = entry_of(password_file=passwords)
    for others in (("alice", "bob"), ("alice", "nobody"), ("nobody", "no one")):
        pool.may_answer.clear()
        tasks = [asyncio.create_task(entry.decide(who(name, "same", address=name))) for name in others]
        await asyncio.sleep(0)
        assert pool.waiting == 2
        pool.may_answer.set()
        await asyncio.gather(*tasks)


async def test_who_was_right_needs_no_hash_the_next_time(entry_of: Opener, passwords: Path, pool: CountingPool) -> None:
    entry = entry_of(password_file=passwords)
    assert entry.decide_now(who("alice", "secret")) is None
    await entry.decide(who("alice", "secret"))
    assert outcome(entry.decide_now(who("alice", "secret", client_id="c2", address="10.0.0.8"))) == ("alice",)
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert len(pool.kinds) == 1


async def test_who_was_wrong_is_not_remembered(entry_of: Opener, passwords: Path, pool: CountingPool) -> None:
    entry = entry_of(password_file=passwords)
    await entry.decide(who("alice", "secret"))
    for _ in range(2):
        assert entry.decide_now(who("alice", "wrong")) is None
        assert outcome(await entry.decide(who("alice", "wrong"))) is BAD
    assert len(pool.kinds) == 3


async def test_a_thousand_devices_that_share_a_user_need_one_hash(entry_of: Opener, passwords: Path) -> None:
    pool = HashingPool(threads=1, max_waiting=2)
    calls: list[bytes] = []
    entry = AccessEntry.open(
        Access(password_file=passwords), clock=StandingClock(), read_rules=lambda _: NoRules(), pool=pool
    )
    submit = pool._executor.submit

    def counting(function: Any, hashed: PasswordHash, password: bytes) -> Any:
        calls.append(password)
        return submit(function, hashed, password)

    pool._executor.submit = counting  # type: ignore[method-assign,assignment]
    verdicts = await asyncio.gather(*(entry.decide(who("alice", "secret", client_id=f"c{i}")) for i in range(1000)))
    assert {outcome(verdict) for verdict in verdicts} == {("alice",)}
    assert calls == [b"secret"]
    await entry.close()
    pool.close()


async def test_too_many_that_wait_are_told_that_the_server_is_busy(
    entry_of: Opener, passwords: Path, pool: CountingPool
) -> None:
    entry = entry_of(password_file=passwords)
    pool.is_full = True
    assert outcome(await entry.decide(who("alice", "secret"))) is Refusal.SERVER_BUSY
    pool.is_full = False
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)


async def test_a_device_with_a_wrong_password_cannot_fill_the_pool(
    entry_of: Opener, passwords: Path, pool: CountingPool
) -> None:
    entry = entry_of(password_file=passwords)
    assert outcome(await entry.decide(who("alice", "wrong"))) is BAD
    pool.kinds.clear()
    tasks = [asyncio.create_task(entry.decide(who("alice", f"wrong{number}"))) for number in range(200)]
    await asyncio.wait(tasks, timeout=TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
    # The bulk is refused without a hash; some wait for their turn; a few were free.
    done = [task for task in tasks if task.done()]
    assert len(pool.kinds) <= guesses.FREE_WITH_BOTH + 1
    assert outcome(await entry.decide(who("bob", "secret2"))) == ("bob",)
    assert done
    for task in tasks:
        task.cancel()
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    refused = [verdict for verdict in outcomes if isinstance(verdict, Refused)]
    assert sum(verdict.reason is Refusal.SERVER_BUSY for verdict in refused) > 150


async def test_who_is_known_comes_in_at_once_while_another_guesses_at_his_name(
    entry_of: Opener, passwords: Path
) -> None:
    entry = entry_of(password_file=passwords)
    await entry.decide(who("alice", "secret"))
    tasks = [asyncio.create_task(entry.decide(who("alice", f"wrong{number}"))) for number in range(50)]
    await asyncio.sleep(0)
    assert outcome(entry.decide_now(who("alice", "secret"))) == ("alice",)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_client_that_leaves_cancels_its_check(entry_of: Opener, passwords: Path, pool: CountingPool) -> None:
    entry = entry_of(password_file=passwords)
    pool.may_answer.clear()
    task = asyncio.create_task(entry.decide(who("alice", "secret")))
    await asyncio.wait_for(pool.asked.wait(), TIMEOUT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    pool.may_answer.set()
    assert len(entry._guesses) == 0


class Gate:
    """A hash that takes until it is told to end."""

    kind = "gate"

    def __init__(self) -> None:
        self.began = threading.Event()
        self.end = threading.Event()

    def matches(self, password: bytes) -> bool:
        self.began.set()
        assert self.end.wait(TIMEOUT_S)
        return password == b"right"


@pytest.mark.parametrize("password", ["right", "wrong"])
async def test_who_leaves_while_his_hash_is_worked_on_pays_for_it_or_is_known_afterwards(
    entry_of: Opener, passwords: Path, pool: CountingPool, password: str
) -> None:
    entry = entry_of(password_file=passwords)
    gate = Gate()
    users = entry._ways.users
    assert users is not None
    users.hashes["alice"] = gate  # type: ignore[index]
    task = asyncio.create_task(entry.decide(who("alice", password)))
    assert await asyncio.to_thread(gate.began.wait, TIMEOUT_S)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    joined = asyncio.create_task(HashingPool.matches(pool, gate, password.encode()))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    gate.end.set()
    assert await asyncio.wait_for(joined, TIMEOUT_S) is (password == "right")
    if password == "right":
        assert outcome(entry.decide_now(who("alice", "right"))) == ("alice",)
        assert len(entry._guesses) == 0
    else:
        assert len(entry._guesses) == 3


async def test_a_fault_of_ours_lets_nobody_in(
    entry_of: Opener, passwords: Path, pool: CountingPool, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(hashed: PasswordHash, password: bytes, *, late: Late) -> bool:
        raise RuntimeError("broken")

    entry = entry_of(password_file=passwords)
    pool.matches = broken  # type: ignore[method-assign]
    assert outcome(await entry.decide(who("alice", "geheim"))) is Refusal.SERVER_UNAVAILABLE
    assert "could not be checked" in caplog.text
    assert "geheim" not in caplog.text


# ---- Tokens --------------------------------------------------------------------------------------------------------


def test_a_token_is_enough_and_names_its_holder(entry_of: Opener, token_settings: Jwt) -> None:
    entry = entry_of(jwt=token_settings)
    for username in (None, "sensor-1"):
        verdict = entry.decide_now(who(username, token_for("sensor-1")))
        assert verdict == Granted(access="default", username="sensor-1", valid_for_s=130.0)


@pytest.mark.parametrize(
    ("username", "password"),
    [
        ("sensor-2", token_for("sensor-1")),
        ("", token_for("sensor-1")),
        ("sensor-1", token_for("sensor-1", exp_s=NOW_S - 31)),
        ("sensor-1", token_for("sensor-1")[:-2]),
        ("sensor-1", "secret"),
        ("sensor-1", None),
        (None, "x" * 20_000),
    ],
)
def test_anything_else_is_not(entry_of: Opener, token_settings: Jwt, username: str | None, password: str) -> None:
    assert outcome(entry_of(jwt=token_settings).decide_now(who(username, password))) is BAD


def test_a_token_expires_by_the_clock_that_was_given(
    entry_of: Opener, token_settings: Jwt, clock: StandingClock
) -> None:
    entry = entry_of(jwt=token_settings)
    clock.now_s = 120.0
    verdict = entry.decide_now(who(None, token_for("sensor-1")))
    assert isinstance(verdict, Granted)
    assert verdict.valid_for_s == pytest.approx(10.0)
    clock.now_s = 131.0
    assert outcome(entry.decide_now(who(None, token_for("sensor-1")))) is BAD


async def test_a_token_and_a_password_serve_side_by_side(
    entry_of: Opener, passwords: Path, token_settings: Jwt, pool: CountingPool
) -> None:
    entry = entry_of(password_file=passwords, jwt=token_settings)
    assert outcome(entry.decide_now(who("sensor-1", token_for("sensor-1")))) == ("sensor-1",)
    assert pool.kinds == []
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert outcome(await entry.decide(who("alice", token_for("bob")))) is BAD
    assert len(pool.kinds) == 2


# ---- The service ---------------------------------------------------------------------------------------------------


async def test_the_service_is_asked_and_remembered(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    service.answer = {"result": "allow", "expires_in": 30}
    assert entry.decide_now(who("sensor-1", "x")) is None
    verdict = await entry.decide(who("sensor-1", "x"))
    assert verdict == Granted(access="default", username="sensor-1", valid_for_s=30.0)
    assert entry.decide_now(who("sensor-1", "x")) == verdict
    assert len(service.questions) == 1


async def test_whom_the_service_denies_stays_out(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    service.answer = {"result": "deny"}
    assert outcome(await entry.decide(who("sensor-1", "x"))) is BAD
    assert outcome(entry.decide_now(who("sensor-1", "x"))) is BAD
    assert len(service.questions) == 1


async def test_a_service_that_fails_keeps_everybody_out(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    service.status = 503
    assert outcome(await entry.decide(who("sensor-1", "x"))) is Refusal.SERVER_UNAVAILABLE
    service.status = 200
    assert outcome(await entry.decide(who("sensor-1", "x"))) == ("sensor-1",)


async def test_who_is_not_in_the_file_may_be_known_to_the_service(
    entry_of: Opener, passwords: Path, service: AuthService, pool: CountingPool
) -> None:
    entry = entry_of(password_file=passwords, http=HttpAuthentication(url=service.url))
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert service.questions == []
    assert outcome(await entry.decide(who("sensor-1", "x"))) == ("sensor-1",)
    assert len(pool.kinds) == 2
    service.answer = {"result": "deny"}
    assert outcome(await entry.decide(who("sensor-2", "x"))) is BAD


# ---- Names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rules", "username", "client_id", "expected"),
    [
        (SomeRules(), "a/b", "c+#", ("a/b",)),
        (SomeRules(uses_username=True), "a-b", "c+#/", ("a-b",)),
        (SomeRules(uses_username=True), "a/b", "c", DENIED),
        (SomeRules(uses_username=True), "+", "c", DENIED),
        (SomeRules(uses_username=True), "a#", "c", DENIED),
        (SomeRules(uses_client_id=True), "a/b", "c", ("a/b",)),
        (SomeRules(uses_client_id=True), "a", "c/d", Refusal.CLIENT_ID_NOT_VALID),
        (SomeRules(uses_client_id=True), "a", "+", Refusal.CLIENT_ID_NOT_VALID),
        (SomeRules(uses_username=True), "$SYS", "c", DENIED),
        (SomeRules(uses_client_id=True), "a", "$SYS", Refusal.CLIENT_ID_NOT_VALID),
        (SomeRules(), "$a", "$c", ("$a",)),
        (SomeRules(uses_client_id=True), "a", "", ("a",)),
    ],
)
def test_names_that_would_reach_other_topics_are_refused_where_patterns_take_them_in(
    entry_of: Opener, rules: Rules, username: str, client_id: str, expected: object
) -> None:
    entry = entry_of(rules)
    assert outcome(entry.decide_now(who(certificate_username=username, client_id=client_id))) == expected


async def test_a_password_does_not_get_round_the_names(entry_of: Opener, tmp_path: Path) -> None:
    path = write_users(tmp_path / "passwords", {"a/b": "secret"})
    entry = entry_of(SomeRules(uses_username=True), password_file=path)
    assert outcome(await entry.decide(who("a/b", "secret"))) is DENIED
    assert outcome(entry.decide_now(who("a/b", "secret"))) is DENIED


@pytest.mark.parametrize(
    ("client_id", "certificate", "expected"),
    [
        ("alice", "alice", ("alice",)),
        ("bob", "alice", Refusal.CLIENT_ID_NOT_VALID),
        ("", "alice", Refusal.CLIENT_ID_NOT_VALID),
        ("alice", None, Refusal.CLIENT_ID_NOT_VALID),
    ],
)
def test_a_client_id_may_be_bound_to_the_user(
    entry_of: Opener, client_id: str, certificate: str | None, expected: object
) -> None:
    entry = entry_of(client_id_is_username=True, anonymous=Anonymous.ALLOW)
    assert outcome(entry.decide_now(who(client_id=client_id, certificate_username=certificate))) == expected


# ---- Reading the files again ---------------------------------------------------------------------------------------


def test_all_that_is_wrong_is_said_at_once_when_it_is_opened(tmp_path: Path, pool: CountingPool) -> None:
    path = write_lines(tmp_path / "passwords", "alice")

    def read_rules(settings: Access) -> Rules:
        raise ConfigError([Problem(file="acl", line=3, column=None, key="", message="no.")])

    with pytest.raises(AccessError) as caught:
        AccessEntry.open(
            Access(password_file=path, jwt=Jwt(key_file=tmp_path / "none"), rules=(Rule(name="any"),)),
            clock=StandingClock(),
            read_rules=read_rules,
            pool=pool,
        )
    assert [(Path(item.file).name, item.line) for item in caught.value.problems] == [
        ("passwords", 1),
        ("none", None),
        ("acl", 3),
    ]


def test_a_file_that_every_user_of_the_machine_may_write_is_refused(
    tmp_path: Path, pool: CountingPool, passwords: Path, token_settings: Jwt
) -> None:
    """Each of them could let himself in."""
    assert token_settings.key_file is not None
    acl = write_lines(tmp_path / "acl", "topic read #")
    for path in (passwords, token_settings.key_file, acl):
        path.chmod(0o602)
    with pytest.raises(AccessError) as caught:
        AccessEntry.open(
            Access(password_file=passwords, jwt=token_settings, acl_file=acl),
            clock=StandingClock(),
            read_rules=Authorization.load,
            pool=pool,
        )
    found = [(problem.file, problem.message) for problem in caught.value.problems]
    sentence = "can be written by every user of this machine (mode 0602). Run: chmod o-w"
    assert found == [(str(path), f"{sentence} {path}") for path in (passwords, token_settings.key_file, acl)]


async def test_a_new_password_holds_after_a_reload_and_the_old_one_no_more(entry_of: Opener, passwords: Path) -> None:
    bob = quick_hash("secret2")
    write_lines(passwords, f"alice:{quick_hash('secret')}", f"bob:{bob}")
    entry = entry_of(password_file=passwords)
    await entry.decide(who("alice", "secret"))
    await entry.decide(who("bob", "secret2"))
    write_lines(passwords, f"alice:{quick_hash('new')}", f"bob:{bob}")
    assert await entry.reload() == []
    assert entry.decide_now(who("alice", "secret")) is None
    assert outcome(await entry.decide(who("alice", "secret"))) is BAD
    assert outcome(await entry.decide(who("alice", "new"))) == ("alice",)
    assert outcome(entry.decide_now(who("bob", "secret2"))) == ("bob",)
    assert not entry.still_knows("alice")
    assert entry.still_knows("bob")
    assert await entry.reload() == []
    assert entry.still_knows("alice")


async def test_a_user_who_is_gone_is_known_no_more(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(password_file=passwords)
    await entry.decide(who("alice", "secret"))
    assert entry.still_knows("alice")
    write_users(passwords, {"bob": "secret2"})
    assert await entry.reload() == []
    assert not entry.still_knows("alice")
    assert entry.still_knows("named-in-a-certificate")
    assert outcome(await entry.decide(who("alice", "secret"))) is BAD


async def test_a_broken_file_leaves_everything_as_it_was(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(password_file=passwords)
    write_lines(passwords, "alice", "bob:x")
    problems = await entry.reload()
    assert [problem.startswith(f"{passwords}:{line}: ") for line, problem in enumerate(problems, 1)] == [True, True]
    assert all(problem.endswith(".") for problem in problems)
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert entry.still_knows("alice")
    write_lines(passwords, "\0")
    assert len(await entry.reload()) == 1
    assert outcome(await entry.decide(who("bob", "secret2"))) == ("bob",)


async def test_new_settings_come_with_a_reload(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(anonymous=Anonymous.ALLOW)
    assert entry.still_knows(None)
    assert await entry.reload(Access(password_file=passwords)) == []
    assert not entry.still_knows(None)
    assert outcome(entry.decide_now(who(is_local=True))) is DENIED
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    assert await entry.reload(Access()) == []
    assert not entry.still_knows("alice")
    assert entry.still_knows(None)
    assert outcome(entry.decide_now(who("alice", "secret", is_local=True))) == (None,)


async def test_another_key_puts_those_with_tokens_in_doubt(
    entry_of: Opener, token_settings: Jwt, passwords: Path
) -> None:
    entry = entry_of(jwt=token_settings, password_file=passwords)
    assert await entry.reload() == []
    assert entry.still_knows("sensor-1")
    assert token_settings.key_file is not None
    token_settings.key_file.write_bytes(SECRET[::-1])
    assert await entry.reload() == []
    assert not entry.still_knows("sensor-1")
    assert not entry.still_knows("alice")  # she may have come in by a token, whatever else she has
    assert entry.still_knows(None) is False
    assert outcome(await entry.decide(who("sensor-1", token_for("sensor-1")))) is BAD


async def test_another_service_is_asked_after_a_reload(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    await entry.decide(who("sensor-1", "x"))
    assert await entry.reload() == []
    assert entry.still_knows("sensor-1")
    assert entry.decide_now(who("sensor-1", "x")) is None
    async with serving() as other:
        other.answer = {"result": "deny"}
        assert await entry.reload(Access(http=HttpAuthentication(url=other.url))) == []
        assert not entry.still_knows("sensor-1")
        assert outcome(await entry.decide(who("sensor-1", "x"))) is BAD


async def test_rules_are_read_again(pool: CountingPool) -> None:
    made = [SomeRules(), SomeRules(uses_username=True)]
    threads = []

    def read_rules(settings: Access) -> Rules:
        threads.append(threading.current_thread())
        return made.pop(0)

    settings = Access(rules=(Rule(name="any"),))
    entry = AccessEntry.open(settings, clock=StandingClock(), read_rules=read_rules, pool=pool)
    assert outcome(entry.decide_now(who(certificate_username="a/b"))) == ("a/b",)
    assert await entry.reload() == []
    assert outcome(entry.decide_now(who(certificate_username="a/b"))) is DENIED
    assert threads[1] is not threading.current_thread()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({"alice": "secret"}, ("alice",)),
        ({"alice": "new"}, BAD),
        ({"bob": "secret2"}, BAD),
    ],
)
async def test_a_check_that_was_under_way_during_a_reload_is_held_to_the_new_file(
    entry_of: Opener, passwords: Path, pool: CountingPool, after: dict[str, str], expected: object
) -> None:
    entry = entry_of(password_file=passwords)
    pool.may_answer.clear()
    task = asyncio.create_task(entry.decide(who("alice", "secret")))
    await asyncio.wait_for(pool.asked.wait(), TIMEOUT_S)
    write_users(passwords, after)
    assert await entry.reload() == []
    pool.may_answer.set()
    assert outcome(await task) == expected


async def test_an_answer_that_was_under_way_during_a_reload_is_asked_for_anew(
    entry_of: Opener, service: AuthService
) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    service.may_answer.clear()
    task = asyncio.create_task(entry.decide(who("sensor-1", "x")))
    await asyncio.wait_for(service.asked.wait(), TIMEOUT_S)
    async with serving() as other:
        other.answer = {"result": "deny"}
        assert await entry.reload(Access(http=HttpAuthentication(url=other.url))) == []
        service.may_answer.set()
        assert outcome(await task) is BAD
        assert len(other.questions) == 1


async def test_an_answer_to_a_question_from_before_a_reload_is_not_kept(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    service.may_answer.clear()
    task = asyncio.create_task(entry.decide(who("sensor-1", "x")))
    await asyncio.wait_for(service.asked.wait(), TIMEOUT_S)
    assert await entry.reload() == []
    service.may_answer.set()
    assert outcome(await task) == ("sensor-1",)
    assert len(service.questions) == 2


async def test_who_is_let_in_while_the_files_change_is_there_when_it_is_asked_who_is_still_known(
    entry_of: Opener, passwords: Path, pool: CountingPool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The listener hears of a verdict one turn of the loop after it was given."""
    entry = entry_of(password_file=passwords)
    has_read = asyncio.Event()

    async def to_thread(read: Callable[..., Any], *args: Any, **more: Any) -> Any:
        await has_read.wait()
        return read(*args, **more)

    monkeypatch.setattr(asyncio, "to_thread", to_thread)
    order: list[str] = []
    pool.may_answer.clear()
    verdict = asyncio.create_task(entry.decide(who("alice", "secret")))
    verdict.add_done_callback(lambda _: order.append("let in"))
    await asyncio.wait_for(pool.asked.wait(), TIMEOUT_S)
    write_users(passwords, {"bob": "secret2"})

    async def reload() -> None:
        await entry.reload()
        order.append("reloaded")

    reloading = asyncio.create_task(reload())
    await asyncio.sleep(0)
    pool.may_answer.set()
    has_read.set()
    await asyncio.gather(verdict, reloading)
    assert outcome(verdict.result()) == ("alice",)
    assert order == ["let in", "reloaded"]
    assert not entry.still_knows("alice")


async def test_reloads_at_once_take_turns(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(password_file=passwords)
    assert await asyncio.gather(*(entry.reload() for _ in range(5))) == [[]] * 5
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)


async def test_an_empty_user_name_is_nobodys_whatever_the_service_says(entry_of: Opener, service: AuthService) -> None:
    entry = entry_of(http=HttpAuthentication(url=service.url))
    assert outcome(await entry.decide(who("", "secret"))) is BAD
    assert outcome(entry.decide_now(who("", "secret"))) is BAD


async def test_whatever_goes_wrong_while_files_are_read_again_leaves_the_old_ones_in_force(
    pool: CountingPool, passwords: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fails = False

    def read_rules(_: Access) -> Rules:
        if fails:
            raise MemoryError("for once")
        return NoRules()

    settings = Access(password_file=passwords, rules=())
    entry = AccessEntry.open(settings, clock=StandingClock(), read_rules=read_rules, pool=pool)
    fails = True
    write_users(passwords, {"bob": "secret2"})
    (sentence,) = await entry.reload()
    assert sentence.endswith("access[default]: the files of this access could not be read: MemoryError: for once")
    assert "could not be read" in caplog.text
    assert entry.still_knows("alice")
    assert outcome(await entry.decide(who("alice", "secret"))) == ("alice",)
    await entry.close()


@pytest.mark.parametrize("kind", ["fifo", "folder"])
async def test_what_is_no_regular_file_is_refused_and_not_waited_for(
    tmp_path: Path, pool: CountingPool, token_settings: Jwt, kind: str
) -> None:
    path = tmp_path / "odd"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    settings = Access(password_file=path, acl_file=path, jwt=replace(token_settings, key_file=path))
    with pytest.raises(AccessError) as caught:
        AccessEntry.open(settings, clock=StandingClock(), read_rules=Authorization.load, pool=pool)
    messages = [problem.message for problem in caught.value.problems]
    assert len(messages) == 3
    words = "is not a regular file. Write the name of one as" if kind == "fifo" else "can't be read: Is a directory"
    assert all(message.startswith(words) for message in messages)


async def test_who_was_taken_out_is_told_from_who_only_has_a_new_password(entry_of: Opener, passwords: Path) -> None:
    entry = entry_of(password_file=passwords)
    write_users(passwords, {"bob": "another"})
    assert await entry.reload() == []
    assert [(entry.still_knows(name), entry.has_removed(name)) for name in ("alice", "bob")] == [
        (False, True),
        (False, False),
    ]
    assert await entry.reload(Access(anonymous=Anonymous.REFUSE, password_file=passwords)) == []
    assert entry.has_removed(None)
