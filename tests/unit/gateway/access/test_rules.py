"""Who may do what, by the rules of the configuration, by an ACL file, and by both."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Access, Action, Effect, Rule
from gateway.access.acl_file import parse_acl
from gateway.access.pattern import Pattern
from gateway.access.ports import UNLIMITED, Rights
from gateway.access.rights import Authorization
from gateway.access.rules import RuleBook
from tests.support.configuration import gateway_from


def rights(*rules: Rule, acl: str | None = None, client_id: str = "dev1", username: str | None = "ann") -> Rights:
    authorization = Authorization(
        acl=None if acl is None else parse_acl(acl, Path("acl")), rules=RuleBook(rules) if rules else None
    )
    return authorization.rights(client_id=client_id, username=username)


def rule(*topics: str, deny: bool = False, actions: str = "publish subscribe read", **more: tuple[str, ...]) -> Rule:
    return Rule(
        effect=Effect.DENY if deny else Effect.ALLOW,
        topics=topics or ("#",),
        actions=tuple(map(Action, actions.split())),
        **more,  # type: ignore[arg-type]
    )


def test_without_rules_and_file_everything_is_allowed() -> None:
    assert Authorization.load(Access()).rights(client_id="x", username=None) is UNLIMITED


def test_an_empty_list_of_rules_denies_everything() -> None:
    mine = Authorization.load(Access(rules=())).rights(client_id="x", username="ann")
    assert not mine.is_unlimited
    assert not any(ask("a") for ask in (mine.may_publish, mine.may_subscribe, mine.may_read))


def test_what_no_rule_allows_is_denied() -> None:
    mine = rights(rule("plant/#"))
    assert mine.may_publish("plant/a")
    assert mine.may_read("plant")
    assert mine.may_subscribe("plant/+/x")
    assert not mine.may_publish("plants")
    assert not mine.may_read("other")
    assert not mine.may_subscribe("#")
    assert not mine.is_unlimited


def test_a_rule_that_denies_wins_in_any_order() -> None:
    allow, deny = rule("#"), rule("secret/#", deny=True)
    for mine in (rights(allow, deny), rights(deny, allow)):
        assert mine.may_publish("a")
        assert not mine.may_publish("secret/a")
        assert not mine.may_read("secret")


def test_each_action_has_its_own_topics() -> None:
    mine = rights(rule("up/#", actions="publish"), rule("down/#", actions="subscribe read"), rule("in", actions="read"))
    assert (mine.may_publish("up/a"), mine.may_read("up/a"), mine.may_subscribe("up/a")) == (True, False, False)
    assert (mine.may_publish("down/a"), mine.may_read("down/a"), mine.may_subscribe("down/a")) == (False, True, True)
    assert (mine.may_read("in"), mine.may_subscribe("in")) == (True, False)


@pytest.mark.parametrize(
    ("users", "clients", "username", "client_id", "applies"),
    [
        (("*",), ("*",), None, "x", True),
        (("*",), ("*",), "ann", "x", True),
        (("ann",), ("*",), "ann", "x", True),
        (("ann",), ("*",), None, "x", False),
        (("ann",), ("*",), "Ann", "x", False),
        (("a*",), ("*",), None, "x", False),
        (("b", "a?n"), ("*",), "ann", "x", True),
        (("*",), ("sensor-*",), "ann", "sensor-1", True),
        (("*",), ("sensor-*",), "ann", "pump-1", False),
        (("ann",), ("sensor-?",), "ann", "sensor-12", False),
    ],
)
def test_a_rule_is_about_those_whose_names_fit_its_patterns(
    users: tuple[str, ...], clients: tuple[str, ...], username: str | None, client_id: str, applies: bool
) -> None:
    mine = rights(rule(users=users, clients=clients), client_id=client_id, username=username)
    assert mine.may_publish("a") is applies


@pytest.mark.parametrize(
    ("rules", "topic_filter", "granted"),
    [
        ((rule("#"), rule("secret/#", deny=True)), "#", True),  # delivery leaves the secret out
        ((rule("#"), rule("secret/#", deny=True)), "secret/#", False),
        ((rule("#"), rule("secret/#", deny=True)), "secret/+/a", False),
        ((rule("#"), rule("secret/#", deny=True)), "+/a", True),
        ((rule("#"), rule("secret/#", deny=True, actions="subscribe")), "#", True),
        ((rule("#"), rule("secret/#", deny=True, actions="subscribe")), "secret/a", False),
        ((rule("#"), rule("secret/#", deny=True, actions="subscribe")), "open/a", True),
        ((rule("a/+"),), "a/#", False),
        ((rule("a/#"),), "a/+", True),
        ((rule("a/#"),), "a", True),
        ((rule("#"),), "$SYS/#", False),
        ((rule("$SYS/#"),), "$SYS/broker/#", True),
        ((rule("a/#"),), "$share/g/a/b", True),
        ((rule("a/#"),), "$share/a/b", False),
        ((rule("%u/%c/#"),), "ann/dev1/x", True),
        ((rule("%u/%c/#"),), "ann/+/x", False),
    ],
)
def test_a_subscription_must_be_covered_by_a_rule(rules: tuple[Rule, ...], topic_filter: str, granted: bool) -> None:
    assert rights(*rules).may_subscribe(topic_filter) is granted


def test_what_may_not_be_subscribed_to_is_not_delivered_through_a_wider_filter_either() -> None:
    mine = rights(rule("#"), rule("secret/#", deny=True, actions="subscribe"))
    assert mine.may_subscribe("#")
    assert not mine.may_read("secret/a")
    assert mine.may_publish("secret/a")


def test_names_fill_their_places_and_only_for_those_who_have_them() -> None:
    mine = rights(rule("u/%u/#"), rule("c/%c"))
    assert mine.may_publish("u/ann/x")
    assert mine.may_publish("c/dev1")
    assert not mine.may_publish("u/bob/x")
    assert not mine.may_publish("u/%u/x")
    nobody = rights(rule("u/%u/#"), rule("c/%c"), username=None)
    assert nobody.may_publish("c/dev1")
    assert not nobody.may_publish("u//x")


@pytest.mark.parametrize("name", ["a/b", "+", "#", "x/#", "$SYS"])
def test_a_name_with_a_wildcard_or_a_slash_allows_nothing_where_a_rule_uses_it(name: str) -> None:
    for topic in ("t/a", "t/b/c", "free"):
        assert not rights(rule("t/%c/#"), rule("free"), client_id=name).may_publish(topic)
        assert not rights(rule("t/%u/#"), rule("free"), username=name).may_publish(topic)
    assert rights(rule("free"), client_id=name, username=name).may_publish("free")


@pytest.mark.parametrize(
    ("rules", "acl", "uses"),
    [
        ((rule("a/%u"),), None, (True, False)),
        ((rule("a/%c"),), None, (False, True)),
        ((), "pattern %u/%c", (True, True)),
        ((), "topic %u/%c", (False, False)),
        ((rule("a"),), "pattern read a", (False, False)),
    ],
)
def test_it_is_known_which_names_become_parts_of_filters(
    rules: tuple[Rule, ...], acl: str | None, uses: tuple[bool, bool]
) -> None:
    authorization = Authorization(
        acl=None if acl is None else parse_acl(acl, Path("acl")), rules=RuleBook(rules) if rules else None
    )
    assert (authorization.uses_username, authorization.uses_client_id) == uses


@pytest.mark.parametrize(
    ("topic", "allowed"),
    [
        ("$SYS/broker/uptime", False),
        ("$SYS/broker/connection/b1/state", True),
        ("$SYS/broker/connection/b1/x/state", False),
        ("$SYSTEM", False),
        ("$share/g/a", False),
        ("$other/a", True),
    ],
)
def test_a_client_publishes_nothing_on_the_servers_own_topics(topic: str, allowed: bool) -> None:
    for mine in (rights(rule("#", "$SYS/#", "$SYSTEM", "$share/#", "$other/#")), rights(acl=_DOLLARS)):
        assert mine.may_publish(topic) is allowed


_DOLLARS = "user ann\n" + "".join(f"topic {name}\n" for name in ("$SYS/#", "$SYSTEM", "$share/#", "$other/#"))


def test_with_a_file_and_rules_what_one_allows_and_none_denies_is_allowed() -> None:
    mine = rights(rule("a"), rule("b", deny=True), acl="user ann\ntopic b\ntopic c\ntopic deny a/x\n")
    assert [mine.may_publish(topic) for topic in ("a", "b", "c", "d")] == [True, False, True, False]
    mine = rights(rule("#"), acl="user ann\ntopic deny a/x\n")
    assert not mine.may_publish("a/x")
    assert not mine.may_subscribe("a/x")
    assert mine.may_subscribe("a/+")


def test_a_hundred_rules_are_shared_by_clients_of_a_kind() -> None:
    book = RuleBook([rule(f"t/{number}/%c", users=(f"u{number % 5}",)) for number in range(100)])
    authorization = Authorization(rules=book)
    one = authorization.rights(client_id="a", username="u1")
    other = authorization.rights(client_id="b", username="u1")
    assert one._rules is other._rules  # type: ignore[attr-defined]
    assert one.may_publish("t/1/a")
    assert not one.may_publish("t/1/b")
    assert other.may_publish("t/1/b")


def test_rules_are_read_from_the_configuration() -> None:
    settings = gateway_from("""
        access:
          - name: default
            rules:
              - {name: devices, clients: ["dev*"], actions: [publish], topics: ["plant/%u/#"]}
              - {name: nobody, effect: deny, topics: ["plant/+/secret"]}
    """).settings
    mine = Authorization.load(settings.access[0]).rights(client_id="dev1", username="ann")
    assert mine.may_publish("plant/ann/a")
    assert not mine.may_publish("plant/ann/secret")
    assert not mine.may_read("plant/ann/a")


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("", "", True),
        ("*", "", True),
        ("**", "a\nb", True),
        ("a*", "a", True),
        ("*a", "ba", True),
        ("a*a", "a", False),
        ("a*a", "aa", True),
        ("a*b*c", "a-b-b-c", True),
        ("a*b*c", "acb", False),
        ("?", "ab", False),
        ("a.[b]", "a.[b]", True),
        ("a.b", "axb", False),
        ("*?", "", False),
        ("?*?", "ab", True),
        ("a?c*", "abcd", True),
    ],
)
def test_a_star_stands_for_any_characters_and_a_question_mark_for_one(pattern: str, name: str, fits: bool) -> None:
    assert Pattern(pattern).matches(name) is fits


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_a_pattern_matches_as_its_plain_meaning_says(pattern: str, name: str) -> None:
    def plain(left: str, right: str) -> bool:
        if not left:
            return not right
        if left[0] == "*":
            return plain(left[1:], right) or (bool(right) and plain(left, right[1:]))
        return bool(right) and left[0] in {"?", right[0]} and plain(left[1:], right[1:])

    assert Pattern(pattern).matches(name) is plain(pattern, name)


def test_a_pattern_of_many_stars_is_quick_on_a_long_name() -> None:
    assert not Pattern("*a" * 30 + "b").matches("a" * 60_000)


@pytest.mark.parametrize("name", ["a/b", "+", "$SYS"])
def test_a_name_that_is_no_good_for_a_rule_does_not_undo_what_rules_deny(name: str) -> None:
    """What an ACL file allows a user is all that is left then; which client he comes by must not widen it."""
    rules = rule("own/%c"), rule("secret/#", deny=True), rule("away/%c/x", deny=True)
    for client_id in ("dev1", name):
        mine = rights(*rules, acl="user ann\ntopic #", client_id=client_id)
        assert mine.may_publish("free")
        assert not mine.may_publish("secret/a")
        assert not mine.may_publish(f"away/{client_id}/x")
        assert not mine.may_subscribe("secret/a")


def test_a_name_is_never_taken_for_the_servers_own_topics() -> None:
    allowed = rule("%u/#"), rule("%c/#")
    assert rights(*allowed, username="ann").may_read("ann/x")
    assert not rights(*allowed, username="$SYS").may_read("$SYS/broker/uptime")
    assert not rights(*allowed, client_id="$SYS").may_subscribe("$SYS/#")
    assert not rights(acl="pattern read %u/#", username="$SYS").may_read("$SYS/broker/uptime")
