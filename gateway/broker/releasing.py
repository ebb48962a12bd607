"""QoS 2 ids of one client between PUBREC and PUBREL, as far as more happens to them than that (MQTT 5 §4.3.3).

They are pending in the session (`Session.awaiting_release`), which may bring some along from an earlier connection.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from gateway.broker.agenda import TRY_AGAIN_AFTER_S
from gateway.broker.commons import Party
from gateway.broker.session import Session
from gateway.mqtt import writer
from gateway.mqtt.errors import ProtocolError
from gateway.mqtt.packets import PublishBatch, PubRel
from gateway.spool.ports import Outcome

WAITING_BYTES: Final = 64
"""What a publish that only waits for a commit takes in memory, roughly."""

_DUP: Final = 0x08


class Releasing:
    """One connection's."""

    __slots__ = ("_client", "_commons", "_repeated", "_session", "_unreleased", "inherited")

    def __init__(self, client: Party) -> None:
        self._client = client
        self._commons = client.commons
        self._session = client.session
        self.inherited = set(client.session.awaiting_release)
        """Those that an earlier connection left, and that were not released on this one."""
        self._repeated: dict[bytes, int | None] = {}
        """Pending ids whose PUBLISH came again on this connection without DUP, and what it said."""
        self._unreleased: dict[bytes, None] = {}
        """Ids whose PUBREL the disk did not take yet."""

    def count_repeat(self, batch: PublishBatch, i: int) -> None:
        """Raises ProtocolError where a pending id comes again and again with the same message, and none says DUP.

        A repeat with DUP is answered however often it comes [MQTT-4.3.3-10]. Without it a client either repeats and
        does not say so [MQTT-3.3.1-1], or gives two messages one id [MQTT-2.2.1-3]: that is let pass once, as
        Mosquitto does, but a client that goes on so would send the same for ever.
        """
        if batch.first_bytes[i] & _DUP:
            return
        packet_id = batch.packet_ids[i]
        if packet_id in self.inherited and packet_id not in self._repeated:
            self._repeated[packet_id] = None  # on this connection it is the first
            return
        said = hash((batch.topics[i], batch.payloads[i]))
        if self._repeated.get(packet_id) == said:
            number = int.from_bytes(packet_id, "big")
            raise ProtocolError(f"The PUBLISH with packet identifier {number} came three times, and not marked as DUP.")
        self._repeated[packet_id] = said

    def release(self, packet: PubRel) -> None:
        """PUBREL: the ids are free again; PUBCOMP says so when the disk knows."""
        session = self._session
        awaiting = session.awaiting_release
        is_committing = False
        for packet_id in packet.packet_ids:
            # An id that is not pending is answered like the others, without reason 0x92: its exchange was completed
            # before a crash or a lost connection, and a client that reads of an error would report a loss.
            receipt = awaiting.pop(packet_id, None)
            is_committing |= receipt is not None and receipt.outcome is None
            self.inherited.discard(packet_id)
            if self._repeated:
                self._repeated.pop(packet_id, None)
        if session.is_durable or is_committing:
            # Durable: also when none was pending, for the disk may still hold what memory has let go of.
            # Else the client did not wait for PUBREC; PUBCOMP does not overtake it.
            self._complete(packet.packet_ids)
        else:
            self._client.reply(writer.pubcomps(packet.packet_ids, version=self._client.version))

    def _complete(self, packet_ids: list[bytes]) -> None:
        session = self._session
        released = Released(self, session, packet_ids)
        if session.is_durable:
            released.change = self._commons.sessions.remember(session)
        self._commons.store.after_commit(self._client, released, held_bytes=WAITING_BYTES * len(packet_ids))

    def complete_again(self, packet_ids: Iterable[bytes]) -> None:
        """The disk did not take these: in a while, all of them in one, however often a client says so meanwhile."""
        if not self._unreleased:
            self._commons.later((self, "release"), TRY_AGAIN_AFTER_S, self._try_again)
        self._unreleased.update(dict.fromkeys(packet_ids))

    def _try_again(self) -> None:
        packet_ids = list(self._unreleased)
        self._unreleased.clear()
        if self._client.is_open:
            self._complete(packet_ids)


class Released:
    """A run of PUBRELs whose ids are no longer pending, once that is on disk."""

    __slots__ = ("_releasing", "change", "packet_ids", "session")

    def __init__(self, releasing: Releasing, session: Session, packet_ids: Sequence[bytes]) -> None:
        self._releasing = releasing
        self.session = session
        self.packet_ids = packet_ids
        self.change = 0

    def settle(self, client: Party, outcome: Outcome) -> bytes:
        """PUBCOMPs; without the disk's word, the ids are taken to it again a little later."""
        if outcome is not Outcome.DURABLE:
            self._releasing.complete_again(self.packet_ids)
            return b""
        self.session.saved = max(self.session.saved, self.change)
        return writer.pubcomps(self.packet_ids, version=client.version)
