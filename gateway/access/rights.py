"""Authorisation: what a client may do, by the ACL file and by the rules of an `access`.

    Without both, everything. With one of them, nothing that it does not allow. With both, what one of them allows and
    none denies. An ACL file or a list of rules with nothing in it is one of them: it allows nothing.

publish    a PUBLISH, and the will in a CONNECT. Clients publish nothing on `$SYS…` and `$share…`, whatever the rules
           say; but the state of a bridge, `$SYS/broker/connection/+/state`, where they allow it (Mosquitto's exception)
subscribe  the filter of a SUBSCRIBE. By rules: one that is allowed must take all that the filter takes; one that is
           denied must not; and what is denied here is denied to `read`, or a wider filter would go around it.
           By an ACL file, which has no word for it: refused where nothing that the filter takes may be read (Mosquitto
           2.0 grants that too, and delivers nothing). A filter wider than the rights is granted, as by Mosquitto
read       each message that is delivered, retained ones too, so that `#` is safe to grant
"""

from __future__ import annotations

from config.settings import Access, Action
from gateway.access.acl_file import AclFile, load_acl_file
from gateway.access.filters import Names
from gateway.access.layer import Layer
from gateway.access.ports import UNLIMITED, Rights
from gateway.access.rules import RuleBook

_SHARE = "$share/"
_BRIDGE = "$SYS/broker/connection/"


class Authorization:
    """The rules of one `access`, read once; new files make a new one."""

    def __init__(self, *, acl: AclFile | None = None, rules: RuleBook | None = None) -> None:
        self._acl = acl
        self._rules = rules
        parts = [part for part in (acl, rules) if part is not None]
        self.uses_username = any(part.uses_username for part in parts)
        """Whether user names become parts of filters, so that one with `+`, `#` or `/` must not come in."""
        self.uses_client_id = any(part.uses_client_id for part in parts)
        """Likewise for client ids."""

    @classmethod
    def load(cls, access: Access) -> Authorization:
        """Read the files. Blocks for as long as the disk needs. Raises AccessError."""
        return cls(
            acl=None if access.acl_file is None else load_acl_file(access.acl_file),
            rules=None if access.rules is None else RuleBook(access.rules),
        )

    def rights(self, *, client_id: str, username: str | None) -> Rights:
        """What this client may do."""
        if self._acl is None and self._rules is None:
            return UNLIMITED
        names = Names(client_id=client_id, username=username)
        acl: tuple[Layer, ...] = ()
        rules: Layer | None = None
        is_closed = False
        if self._acl is not None:
            acl = self._acl.layers_for(names)
            is_closed = self._acl.is_unsafe(names)
        if self._rules is not None:
            rules = self._rules.layer_for(names)
        return ClientRights(names=names, acl=acl, rules=rules, is_closed=is_closed)


class ClientRights:
    """What one client may do (`gateway.access.ports.Rights`): its names, and layers that it shares with others."""

    __slots__ = ("_acl", "_is_closed", "_names", "_rules")

    is_unlimited = False

    def __init__(self, *, names: Names, acl: tuple[Layer, ...], rules: Layer | None, is_closed: bool) -> None:
        self._names = names
        self._acl = acl
        self._rules = rules
        self._is_closed = is_closed
        """Whether its names would reach too far in a pattern of the ACL file: only the lines for its user allow
        anything then. Rules see to that themselves."""

    def may_publish(self, topic: str) -> bool:
        """Whether it may publish to the topic."""
        if topic[:1] == "$" and not _is_for_clients(topic):
            return False
        return self._decide(Action.PUBLISH, topic)

    def may_read(self, topic: str) -> bool:
        """Whether a message on the topic may be delivered to it."""
        return self._decide(Action.READ, topic)

    def may_subscribe(self, topic_filter: str) -> bool:
        """Whether it may subscribe to the filter."""
        if topic_filter.startswith(_SHARE):
            topic_filter = topic_filter.removeprefix(_SHARE).partition("/")[2]
        by_file = None
        for layer in self._acl:
            by_file = layer.decide_delivery(topic_filter, self._names)
            if by_file is not None:
                break
        by_rules = None if self._rules is None else self._rules.decide_subscription(topic_filter, self._names)
        return self._both(by_file, by_rules)

    def _decide(self, action: Action, topic: str) -> bool:
        by_file = None
        for layer in self._acl:
            by_file = layer.decide(action, topic, self._names)
            if by_file is not None:
                break
        by_rules = None if self._rules is None else self._rules.decide(action, topic, self._names)
        return self._both(by_file, by_rules)

    def _both(self, by_file: bool | None, by_rules: bool | None) -> bool:
        if by_file is False or by_rules is False:
            return False
        return by_file is True or (by_rules is True and not self._is_closed)


def _is_for_clients(topic: str) -> bool:
    """Whether a client may ever publish to a topic that begins with `$`."""
    if topic.startswith("$SYS"):
        rest = topic.removeprefix(_BRIDGE).split("/")
        return topic.startswith(_BRIDGE) and len(rest) == 2 and rest[1] == "state"
    return not topic.startswith("$share")
