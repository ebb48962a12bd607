"""Mosquitto's ACL file: what it says, and the sentences for what it does not say rightly."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from config.settings import Access
from gateway.access.acl_file import load_acl_file, parse_acl
from gateway.access.errors import AccessError
from gateway.access.rights import Authorization, Rights

EXAMPLE = """
# This affects access control for clients with no username.
topic read $SYS/#

# This only affects clients with username "roger".
user roger
topic foo/bar

# This affects all clients.
pattern write $SYS/broker/connection/%c/state
"""


def rights(text: str, *, client_id: str = "dev1", username: str | None = "ann") -> Rights:
    return Authorization(acl=parse_acl(text, Path("acl"))).rights(client_id=client_id, username=username)


def test_mosquittos_own_example_means_what_it_says() -> None:
    nobody = rights(EXAMPLE, username=None)
    assert nobody.may_read("$SYS/broker/uptime")
    assert not nobody.may_publish("foo/bar")
    assert nobody.may_publish("$SYS/broker/connection/dev1/state")
    roger = rights(EXAMPLE, username="roger")
    assert roger.may_publish("foo/bar")
    assert roger.may_read("foo/bar")
    assert not roger.may_read("$SYS/broker/uptime")
    assert roger.may_publish("$SYS/broker/connection/dev1/state")


@pytest.mark.parametrize("text", ["", "# only a comment", "user ann\n"])
def test_a_file_that_allows_nothing_denies_everything(text: str) -> None:
    mine = rights(text)
    assert not mine.may_publish("a")
    assert not mine.may_read("a")
    assert not mine.may_subscribe("#")
    assert not mine.is_unlimited


def test_denies_win_among_the_lines_of_a_user_and_those_go_before_the_patterns() -> None:
    mine = rights("pattern deny p/#\npattern p/%c\nuser ann\ntopic #\ntopic deny a\nuser bob\n")
    assert not mine.may_publish("a")
    assert mine.may_publish("p/dev1")
    assert not rights("pattern p/%c\npattern deny p/#\n").may_publish("p/dev1")


def test_a_user_may_stand_in_several_places() -> None:
    mine = rights("user ann\ntopic a\nuser bob\ntopic b\nuser ann\ntopic read c")
    assert [mine.may_publish(topic) for topic in "abc"] == [True, False, False]
    assert mine.may_read("c")


@pytest.mark.parametrize(
    ("topic_filter", "granted"),
    [
        ("#", True),  # Mosquitto's way: delivery leaves out what may not be read
        ("a/#", True),
        ("a/b/c", True),
        ("a/secret/#", False),
        ("a/secret", False),
        ("b", False),
        ("+", True),
        ("+/b", True),
        ("up/1", False),
        ("$SYS/#", False),
        ("$share/g/a/b", True),
        ("$share/g/b", False),
        ("own/dev1", True),
        ("own/dev2", False),
        ("own/+", True),
    ],
)
def test_a_subscription_is_refused_only_where_nothing_could_be_delivered(topic_filter: str, granted: bool) -> None:
    text = "user ann\ntopic read a/#\ntopic deny a/secret/#\ntopic write up/#\npattern own/%c\n"
    assert rights(text).may_subscribe(topic_filter) is granted


@pytest.mark.parametrize("name", ["a/b", "a+", "#"])
def test_a_name_that_patterns_use_and_that_reaches_too_far_has_only_the_lines_of_its_user(name: str) -> None:
    text = f"pattern free\npattern readwrite c/%c/#\npattern deny mine\nuser {name}\ntopic mine\n"
    mine = rights(text, client_id=name, username=name)
    assert mine.may_publish("mine")
    assert not mine.may_publish("free")
    assert not mine.may_publish(f"c/{name}/x")


@pytest.mark.parametrize(
    ("text", "line", "sentence"),
    [
        ("topic a\n\ntopic", 3, "expected a topic filter, found an empty text"),
        ("user", 1, "the user has no name; write it behind the word user"),
        ("usr ann", 1, "expected a line that begins with topic, user, pattern or #, found 'usr'; did you mean 'user'?"),
        ("topic raed a", 1, "expected read, write, readwrite or deny before the filter, found 'raed'; did you mean"),
        ("topic two words", 1, "a filter with a space in it needs one of these words before it"),
        ("topic read a/#/b", 1, "in the topic filter 'a/#/b' a '#' must stand alone in the last level"),
        ("topic a+", 1, "a '+' must stand alone in its level"),
        ("  # comment", 1, "a comment must begin at the start of its line"),
        ("topic\ta", 1, "found a tab"),
        ("topic read\ta", 1, "has a tab or a control character in it"),
    ],
)
def test_a_bad_line_is_refused_with_its_place_and_what_to_do(text: str, line: int, sentence: str) -> None:
    with pytest.raises(AccessError) as refused:
        parse_acl(text, Path("/etc/fieldgate/acl"))
    (problem,) = refused.value.problems
    assert (problem.file, problem.line) == ("/etc/fieldgate/acl", line)
    assert sentence in problem.message


def test_all_bad_lines_are_named_at_once() -> None:
    with pytest.raises(AccessError) as refused:
        parse_acl("what\ntopic a\ntopic # b\n", Path("acl"))
    assert [problem.line for problem in refused.value.problems] == [1, 3]


def test_a_file_that_can_not_be_read_is_refused_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match="can't be read: No such file or directory"):
        load_acl_file(tmp_path / "none")
    (tmp_path / "latin").write_bytes(b"topic a\nuser J\xfcrgen\n")
    with pytest.raises(AccessError, match="latin:2: this is not UTF-8 text"):
        load_acl_file(tmp_path / "latin")
    with pytest.raises(AccessError):
        Authorization.load(Access(acl_file=tmp_path / "none"))


def test_the_example_of_the_documentation_means_what_it_says() -> None:
    text = (Path(__file__).parents[4] / "docs" / "how-to" / "users-and-rights.md").read_text()
    (example,) = re.findall(r"^```acl\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    hmi = rights(example, client_id="panel", username="hmi")
    assert hmi.may_read("plant/a")
    assert not hmi.may_read("plant/recipes/a")
    assert hmi.may_read("command/panel/x")
    assert not hmi.may_publish("command/panel/x")
    device = rights(example, client_id="d", username="line-1")
    assert device.may_publish("plant/line-1/a")
    assert not device.may_publish("plant/line-2/a")
    assert rights(example, username=None).may_read("public/x")
