"""Who may log in at the HTTP interface."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge.web.gate import CannotVerify
from gateway.access.errors import AccessError
from gateway.access.hashing import HashingPool
from gateway.access.web_users import web_users
from tests.support.passwords import MOSQUITTO_LINES, write_lines
from tests.support.web_house import PASSWORDS, hash_of, write_passwords


@pytest.fixture
def pool() -> Iterator[HashingPool]:
    pool = HashingPool(threads=1, max_waiting=1)
    yield pool
    pool.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "passwords"
    write_passwords(path, PASSWORDS)
    return path


async def test_a_password_is_its_users_alone(path: Path, pool: HashingPool) -> None:
    users = web_users(pool)(path)
    assert await users.verify("anna", PASSWORDS["anna"])
    assert not await users.verify("anna", PASSWORDS["otto"])
    assert not await users.verify("nobody", PASSWORDS["anna"])


async def test_an_unknown_user_costs_a_hash_too(path: Path, pool: HashingPool, monkeypatch: pytest.MonkeyPatch) -> None:
    users = web_users(pool)(path)
    kinds = []
    real = pool.matches

    async def matches(hashed: object, password: bytes) -> bool:
        kinds.append(type(hashed).__name__)
        return await real(hashed, password)  # type: ignore[arg-type]

    monkeypatch.setattr(pool, "matches", matches)
    await users.verify("nobody", "x")
    assert kinds == ["Argon2id"]


async def test_when_too_many_wait_nobody_is_wrong(path: Path, pool: HashingPool) -> None:
    users = web_users(pool)(path)
    first = asyncio.create_task(users.verify("anna", PASSWORDS["anna"]))
    await asyncio.sleep(0)  # it asks now, and has its answer only when the loop comes round again
    assert pool.waiting == 1
    with pytest.raises(CannotVerify):
        await users.verify("otto", PASSWORDS["otto"])
    assert await first


async def test_the_mark_changes_with_the_password_and_ends_with_the_user(path: Path, pool: HashingPool) -> None:
    opened = web_users(pool)
    users = opened(path)
    anna, otto = users.mark("anna"), users.mark("otto")
    assert None not in {anna, otto}
    assert anna != otto
    assert anna is not None
    assert hash_of(PASSWORDS["anna"]) not in anna
    again = opened(path)
    assert (again.mark("anna"), again.mark("otto")) == (anna, otto)
    assert web_users(pool)(path).mark("anna") != anna  # another process knows it by another mark
    write_passwords(path, {"otto": "another"})
    users = opened(path)
    assert (users.mark("anna"), users.mark("otto") in {otto, None}) == (None, False)
    path.write_text("otto:nothing\n")  # noqa: ASYNC240 - a few bytes
    with pytest.raises(AccessError, match=f"{path}:1: the password of 'otto' can't be used"):
        opened(path)


def test_hashes_that_are_quick_to_guess_are_refused_with_their_lines(path: Path, pool: HashingPool) -> None:
    write_lines(path, "# ours", f"anna:{hash_of('x')}", *MOSQUITTO_LINES)
    with pytest.raises(AccessError) as caught:
        web_users(pool)(path)
    found = [str(problem) for problem in caught.value.problems]
    assert len(found) == len(MOSQUITTO_LINES)
    assert found[0].startswith(f"{path}:3: the password of ")
    assert "is not kept as Argon2id" in found[0]
    assert "fieldgate passwd" in found[0]


def test_a_file_that_is_not_there_is_named_with_its_key(pool: HashingPool) -> None:
    with pytest.raises(AccessError, match=r"mend `api.password_file`"):
        web_users(pool)(Path("/nowhere"))
