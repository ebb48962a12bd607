"""The keys of one access in gateway.yaml: who may come in, and what he may do then."""

from __future__ import annotations

from config import topics
from config.kinds import Choice, Duration, FilePath, Flag, Maybe, Text
from config.network import HttpUrl
from config.settings import Access, Action, Anonymous, Effect, HttpAuthentication, Jwt, Rule
from config.shapes import Key, Section, SectionList, ValueList
from config.shared_keys import DAY, name_key

_JWT = Section(
    settings=Jwt,
    keys=(
        Key(
            name="key_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="A secret for HS256, or a public key (PEM) for RS256 and ES256; without it, tokens are off.",
        ),
        Key(
            name="algorithm",
            shape=Choice(words={word: word for word in ("HS256", "RS256", "ES256")}),
            doc="How tokens are signed; no other is taken.",
        ),
        Key(name="username_claim", shape=Text(expected="the name of a claim"), doc="The claim that is the user name."),
        Key(name="audience", shape=Maybe(kind=Text(expected="an audience")), doc="What the claim aud must hold."),
        Key(name="issuer", shape=Maybe(kind=Text(expected="an issuer")), doc="What the claim iss must be."),
    ),
)

_HTTP = Section(
    settings=HttpAuthentication,
    keys=(
        Key(
            name="url",
            shape=Maybe(kind=HttpUrl()),
            doc="A service that is asked with POST and JSON; without it, none is asked.",
        ),
        Key(
            name="timeout",
            attribute="timeout_s",
            shape=Duration(minimum_s=0.1, maximum_s=60),
            doc="A service that has not answered by then keeps the client out.",
        ),
        Key(
            name="cache",
            attribute="cache_s",
            shape=Duration(minimum_s=0, maximum_s=DAY),
            doc="How long an answer is believed.",
        ),
    ),
)

_PATTERNS = Text(expected="a pattern such as sensor-*", check=topics.check_pattern)

_RULE = Section(
    settings=Rule,
    keys=(
        name_key("rule"),
        Key(name="effect", shape=Choice.of(Effect), doc="What it says; a rule that denies wins over those that allow."),
        Key(
            name="users",
            shape=ValueList(item=_PATTERNS, example='["*"]'),
            doc="User names it is for, with * and ?; those without a user name only where it is for all: *.",
        ),
        Key(
            name="clients",
            shape=ValueList(item=_PATTERNS, example='["sensor-*"]'),
            doc="Client ids it is for, with * and ?.",
        ),
        Key(
            name="actions",
            shape=ValueList(item=Choice.of(Action), example="[publish, subscribe, read]"),
            doc="What it speaks of; read is the delivery of a message to its subscriber, and denied with subscribe.",
        ),
        Key(
            name="topics",
            shape=ValueList(
                item=Text(expected="a topic filter", check=topics.check_rule_filter), example='["plant/%u/#"]'
            ),
            doc="Topic filters it is for; %u and %c stand for the user name and the client id.",
        ),
    ),
)

ACCESS = Section(
    settings=Access,
    keys=(
        name_key("access"),
        Key(
            name="anonymous",
            shape=Choice.of(Anonymous),
            doc="Who may come without proving who he is: local: clients of this machine, where there is no way to "
            "prove it; allow: everybody; refuse: nobody.",
        ),
        Key(
            name="password_file",
            shape=Maybe(kind=FilePath(must_exist=True)),
            doc="User names and hashed passwords, from `fieldgate passwd` or mosquitto_passwd.",
        ),
        Key(name="jwt", shape=_JWT, doc="Tokens as passwords (RFC 7519)."),
        Key(name="http", shape=_HTTP, doc="A service that knows who may come."),
        Key(
            name="client_id_is_username",
            shape=Flag(),
            doc="A client is refused whose client id is not its user name.",
        ),
        Key(
            name="acl_file",
            shape=Maybe(kind=FilePath(must_exist=True), must_have_value=True),
            doc="Who may do what, in Mosquitto's syntax. With it or with rules, all is denied that they don't allow.",
        ),
        Key(
            name="rules",
            shape=SectionList(noun="rule", label="name", variants={"": _RULE}, may_be_empty=True),
            doc="Who may do what; an empty list allows nothing. Left out, and without acl_file, everything is allowed.",
        ),
    ),
)
