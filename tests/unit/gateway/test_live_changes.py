"""What a reload changes in a running gateway, with a client connected that stays, and records that keep flowing."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from config.settings import GatewaySettings
from tests.support.certificates import Authority
from tests.support.live_gateway import NOBODY, Cloud, cloud, live_gateway
from tests.support.mosquitto import Mosquitto
from tests.support.passwords import write_users
from tests.support.plain_mqtt import PlainClient
from tests.support.ports import steady_port
from tests.support.web_house import PASSWORDS, VIEWER_TOKEN, write_passwords, write_tokens

TIMEOUT_S = 30


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("cloud")) as broker:
        yield broker


@pytest.fixture
async def ears(broker: Mosquitto) -> AsyncIterator[Cloud]:
    ears = await Cloud.connect(broker.port)
    yield ears
    await ears.close()


async def publish(device: PlainClient, *payloads: bytes, topic: str = "a") -> None:
    """Publish with QoS 1, and wait for each acknowledgement."""
    for payload in payloads:
        device.publish(topic, payload)
        assert (await device.read()).kind == 4


async def is_alive(device: PlainClient) -> bool:
    device.write(0xC0, b"")
    return (await device.read()).kind == 13


async def test_a_log_level_holds_at_once(tmp_path: Path) -> None:
    root = logging.getLogger()
    before, handlers = root.level, list(root.handlers)
    try:
        async with live_gateway(tmp_path) as box:
            device = await box.device()
            box.file["log"] = {"level": "error"}
            report = await box.reload()
            assert report.applied == ["log.level"]
            assert root.level == logging.ERROR
            assert await is_alive(device)
    finally:
        for handler in [one for one in root.handlers if one not in handlers]:
            root.removeHandler(handler)
        root.setLevel(before)


async def test_nothing_changed_says_so_and_nothing_waits(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        report = await box.reload()
        assert (report.applied, report.changes, report.waiting_for_restart) == ([], [], [])
        assert report.message.startswith("Reloaded (test): no setting changed;")


async def test_new_rules_hold_for_who_is_connected(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        reader, writer = await box.device("reader"), await box.device("writer")
        assert await reader.subscribe("#", 0) == 0
        box.file["access"] = [{"name": "default", "rules": [{"name": "b", "topics": ["b"]}]}]
        report = await box.reload()
        assert report.applied == ["access[default].rules"]
        writer.publish("a", b"1", qos=0)
        writer.publish("b", b"2", qos=0)
        assert (await reader.read()).payload == b"2"


async def test_a_user_who_is_gone_from_a_new_password_file_is_disconnected_and_the_others_stay(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        passwords = write_users(tmp_path / "passwords", {"alice": "secret"})
        box.file["access"] = [{"name": "default", "password_file": str(passwords)}]
        report = await box.reload()
        assert report.applied == ["access[default].password_file"]
        await device.closed()  # nobody without a name is let in any more


async def test_a_new_listener_with_a_new_access_is_opened_and_one_that_nobody_uses_is_closed(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        box.file["access"] = [{"name": "default"}, {"name": "narrow", "rules": [{"name": "a", "topics": ["a"]}]}]
        box.file["listeners"] += [{"name": "second", "bind": f"127.0.0.1:{steady_port()}", "access": "narrow"}]
        report = await box.reload()
        assert report.applied == ["listeners[second]", "access[narrow]"]
        other = await box.device("dev2", "second")
        assert await other.subscribe("b") == 0x80
        await other.abort()
        await until(lambda: not box.configuration._applier.is_in_use("second"))  # type: ignore[union-attr]
        port = box.port("second")
        del box.file["listeners"][1], box.file["access"][1]
        report = await box.reload()
        assert report.applied == ["listeners[second]", "access[narrow]"]
        with pytest.raises(ConnectionRefusedError):
            await PlainClient.connect("127.0.0.1", port, "dev3")
        assert [one.name for one in box.gateway.overview.status().listeners] == ["local"]
        assert await is_alive(device)


async def until(condition: Any) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        while not condition():  # noqa: ASYNC110 - the listener tells nobody
            await asyncio.sleep(0)


async def test_a_listener_that_is_in_use_waits_for_a_restart_and_its_access_with_it(tmp_path: Path) -> None:
    doors = [{"name": "local", "bind": "127.0.0.1:0"}, {"name": "old", "bind": "127.0.0.1:0", "access": "other"}]
    access = [{"name": "default"}, {"name": "other"}]
    async with live_gateway(tmp_path, listeners=list(doors), access=list(access)) as box:
        device = await box.device("dev1", "old")
        box.file["listeners"], box.file["access"] = doors[:1], access[:1]
        report = await box.reload()
        assert report.applied == []
        assert report.waiting_for_restart == ["listeners[old]", "access[other]"]
        assert [change.reason for change in report.changes] == [
            "clients are connected to it",
            "a listener still needs it",
        ]
        assert await is_alive(device)


async def test_another_address_waits_for_a_restart_and_is_named_until_it_is_taken_back(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        box.file["listeners"][0]["bind"] = f"127.0.0.1:{steady_port()}"
        box.file["gateway"]["id"] = "another"
        for _ in range(2):
            report = await box.reload()
            assert report.waiting_for_restart == ["gateway.id", "listeners[local].bind"]
            assert "Waiting for a restart: gateway.id (it is part of" in report.message
            assert box.configuration.waiting_for_restart == report.waiting_for_restart
        assert box.configuration.settings.gateway.id == "edge"
        box.file["listeners"][0]["bind"] = "127.0.0.1:0"
        box.file["gateway"]["id"] = "edge"
        assert (await box.reload()).waiting_for_restart == []
        assert await is_alive(device)


async def test_limits_of_a_listener_hold_for_new_connections(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        box.file["listeners"][0] |= {"max_packet_size": "1KiB", "max_connections": 2, "max_connections_per_address": 2}
        report = await box.reload()
        assert {key.rpartition(".")[2] for key in report.applied} == {
            "max_packet_size",
            "max_connections",
            "max_connections_per_address",
        }
        await publish(device, bytes(2000))
        newcomer = await box.device("dev2")
        newcomer.publish("a", bytes(2000))
        await newcomer.closed()
        await box.device("dev3")
        await PlainClient(*await asyncio.open_connection("127.0.0.1", box.port())).closed()
        assert await is_alive(device)


async def test_limits_of_sessions_retained_messages_and_packets_hold_at_once(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        assert await device.subscribe("one") == 1
        box.file["sessions"] = {"max_subscriptions": 1, "max_sessions": 1, "max_sessions_per_user": 5}
        box.file["retained"] = {"max_messages": 1}
        box.file["limits"] = {"max_topic_levels": 2, "sys_interval": "never"}
        report = await box.reload()
        assert not report.waiting_for_restart
        assert await device.subscribe("two") == 0x80
        with pytest.raises(ConnectionRefusedError):
            await box.device("dev2")
        device.publish("r/1", b"1", retain=True)
        device.publish("r/2", b"2", retain=True, packet_id=2)
        assert [(await device.read()).packet_id for _ in range(2)] == [1, 2]
        assert box.gateway.broker.retained.from_clients == 1
        assert await is_alive(device)


async def test_a_new_stream_takes_its_records_and_the_old_ones_stay_in_theirs(
    tmp_path: Path, broker: Mosquitto, ears: Cloud
) -> None:
    async with live_gateway(tmp_path, cloud_port=broker.port) as box:
        device = await box.device()
        await publish(device, b"1", b"2")
        box.file["streams"].insert(0, {"name": "alarms", "topics": ["a"], "time_to_live": "1h"})
        report = await box.reload()
        assert report.applied == ["streams[alarms]"]
        await publish(device, b"3", b"4")
        await publish(device, b"5", topic="b")
        await ears.has(lambda _: ears.payloads("alarms") == {b"3", b"4"})
        await ears.has(lambda _: ears.payloads("telemetry") == {b"1", b"2", b"5"})
        assert box.gateway.spool.lanes["alarms"].time_to_live_s == 3600


async def test_topics_and_time_to_live_of_a_stream_change(tmp_path: Path, broker: Mosquitto, ears: Cloud) -> None:
    streams = [{"name": "fast", "topics": ["a"]}, {"name": "rest", "topics": ["#"]}]
    async with live_gateway(tmp_path, cloud_port=broker.port, streams=streams) as box:
        device = await box.device()
        await publish(device, b"1")
        box.file["streams"] = [{"name": "fast", "topics": ["b"], "time_to_live": "1m"}, streams[1]]
        report = await box.reload()
        assert report.applied == ["streams[fast].topics", "streams[fast].time_to_live"]
        await publish(device, b"2")
        await publish(device, b"3", topic="b")
        await ears.has(lambda _: ears.payloads("fast") == {b"1", b"3"} and ears.payloads("rest") == {b"2"})
        assert box.gateway.spool.lanes["fast"].time_to_live_s == 60


async def test_a_stream_that_is_taken_out_keeps_its_records_and_its_place_until_a_restart(tmp_path: Path) -> None:
    streams = [{"name": "fast", "topics": ["a"]}, {"name": "rest", "topics": ["#"]}]
    async with live_gateway(tmp_path, streams=streams) as box:
        device = await box.device()
        await publish(device, b"1")
        box.file["streams"] = [{"name": "quick", "topics": ["a"]}, streams[1]]
        report = await box.reload()
        assert report.applied == []
        assert set(report.waiting_for_restart) == {"streams[fast]", "streams[quick]"}
        await publish(device, b"2")
        assert box.gateway.spool.lanes["fast"].waiting_records == 2


async def test_an_uplink_that_is_another_one_now_begins_anew_and_the_queue_stays(
    tmp_path: Path, broker: Mosquitto, ears: Cloud
) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        await publish(device, b"1", b"2", b"3")
        before = box.gateway.uplinks["cloud"]
        box.file["uplinks"] = [cloud(broker.port, window=3, topic="fieldgate/v1/{gateway}/new/{stream}")]
        report = await box.reload()
        assert report.applied == ["uplinks[cloud].url", "uplinks[cloud].topic", "uplinks[cloud].window"]
        await publish(device, b"4")
        await ears.has(lambda _: ears.payloads("telemetry") == {b"1", b"2", b"3", b"4"})
        assert "fieldgate/v1/edge/new/telemetry" in ears.topics
        assert box.gateway.uplinks["cloud"] is not before
        await until(lambda: box.gateway.spool.lanes["telemetry"].waiting_records == 0)
        box.file["uplinks"][0]["window"] = 4
        await box.reload()
        assert box.gateway.uplinks["cloud"].status.records == 4  # the count goes on


async def test_other_topics_and_another_order_of_streams_leave_the_uplink_alone(tmp_path: Path) -> None:
    streams = [{"name": "fast", "topics": ["a"]}, {"name": "rest", "topics": ["#"]}]
    async with live_gateway(tmp_path, streams=streams) as box:
        before = box.gateway.uplinks["cloud"]
        box.file["streams"] = [{"name": "rest", "topics": ["b/#"]}, streams[0]]
        assert (await box.reload()).applied == ["streams", "streams[rest].topics"]
        assert box.gateway.uplinks["cloud"] is before


async def test_a_new_uplink_gets_what_is_kept_and_one_taken_out_holds_nothing_back(
    tmp_path: Path, broker: Mosquitto, ears: Cloud
) -> None:
    async with live_gateway(tmp_path) as box:
        device, lane = await box.device(), box.gateway.spool.lanes["telemetry"]
        await publish(device, b"1", b"2")
        box.file["uplinks"] += [cloud(broker.port, "second")]
        assert (await box.reload()).applied == ["uplinks[second]"]
        await publish(device, b"3")
        await ears.has(lambda _: ears.payloads("telemetry") == {b"1", b"2", b"3"})
        assert lane.waiting_records == 3  # the other uplink does not reach its broker
        del box.file["uplinks"][0]
        assert (await box.reload()).applied == ["uplinks[cloud]"]
        assert set(lane.watermarks) == {"second"}
        await until(lambda: lane.waiting_records == 0 and not lane.stored_bytes)
        await publish(device, b"4")
        await ears.has(lambda _: ears.payloads("telemetry") == {b"1", b"2", b"3", b"4"})
    async with live_gateway(tmp_path, uplinks=[cloud(broker.port, "second")]) as box:  # and so it is on disk
        assert box.gateway.spool.lanes["telemetry"].waiting_records == 0


async def test_a_pause_goes_with_its_uplink_and_stays_through_every_other_change(tmp_path: Path) -> None:
    uplinks = [cloud(NOBODY), cloud(NOBODY, "second")]
    async with live_gateway(tmp_path, uplinks=list(uplinks)) as box:
        for name in ("cloud", "second"):
            box.gateway._notes.paused(name, "anna")
            box.gateway.uplinks[name].pause("anna")
        box.file["uplinks"] = [cloud(NOBODY, window=3)]
        assert (await box.reload()).is_valid
        assert box.gateway.uplinks["cloud"].paused_by == "anna"
        box.file["uplinks"] += [uplinks[1]]
        assert (await box.reload()).applied == ["uplinks[second]"]
        assert box.gateway.uplinks["second"].paused_by is None
    for names, paused in ((["cloud"], ["cloud"]), (["second"], []), (["cloud", "second"], [])):
        found = [each for each in uplinks if each["name"] in names]
        async with live_gateway(tmp_path, uplinks=found) as box:  # taken out while no gateway ran
            await box.gateway.spool.flush()
            assert [name for name, uplink in box.gateway.uplinks.items() if uplink.is_paused] == paused


async def test_records_keep_flowing_through_many_reloads_and_each_arrives(
    tmp_path: Path, broker: Mosquitto, ears: Cloud
) -> None:
    async with live_gateway(tmp_path, cloud_port=broker.port) as box:
        device = await box.device()
        sent: set[bytes] = set()
        is_done = asyncio.Event()

        async def keep_sending() -> None:
            while not is_done.is_set():
                payload = b"%d" % len(sent)
                await publish(device, payload)
                sent.add(payload)

        sending = asyncio.create_task(keep_sending())
        for window in range(1, 11):
            box.file["uplinks"][0]["window"] = window
            box.file["streams"].insert(0, {"name": f"extra{window}", "topics": [f"x/{window}"]})
            assert (await box.reload()).is_valid
        is_done.set()
        await sending
        await ears.has(lambda _: ears.payloads("telemetry") == sent)
        assert await is_alive(device)


async def test_the_spool_takes_another_size_and_another_policy(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        box.file["spool"] = {"max_size": "32MiB", "when_full": "reject"}
        report = await box.reload()
        assert {"spool.max_size", "spool.when_full"} <= set(report.applied)
        await publish(device, b"1")
        assert box.gateway.overview.status().spool.limit_bytes == 32 * 1024 * 1024


async def test_a_name_under_which_the_dashboard_is_reached_is_taken_at_once(tmp_path: Path) -> None:
    async with live_gateway(tmp_path) as box, aiohttp.ClientSession() as session:
        url, headers = f"http://{box.gateway.api.address}/healthz", {"Host": "gateway.plant.example"}
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 421
        box.file["api"]["hosts"] = ["gateway.plant.example"]
        assert (await box.reload()).applied == ["api.hosts"]
        async with session.get(url, headers=headers) as answer:
            assert answer.status == 200


async def test_the_http_interface_follows_its_file_while_devices_stay(tmp_path: Path) -> None:
    write_passwords(tmp_path / "people", PASSWORDS)
    write_tokens(tmp_path / "tokens", {VIEWER_TOKEN: "viewer"})
    pair = Authority(tmp_path).server()
    people, tokens = str(tmp_path / "people"), str(tmp_path / "tokens")
    async with live_gateway(tmp_path) as box, aiohttp.ClientSession() as session:
        device = await box.device()
        api = box.file["api"]

        async def status(**headers: str) -> int:
            async with session.get(f"{box.gateway.api.web.url}/api/v1/status", headers=headers, ssl=False) as answer:
                return answer.status

        assert await status() == 200
        api |= {"password_file": people, "operators": ["anna"], "token_file": tokens}
        assert (await box.reload()).applied == ["api.password_file", "api.operators", "api.token_file"]
        assert (await status(), await status(Authorization=f"Bearer {VIEWER_TOKEN}")) == (401, 200)
        api["tls"] = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
        api["trusted_proxies"] = ["127.0.0.1"]
        report = await box.reload()
        assert report.applied == ["api.tls.cert_file", "api.tls.key_file", "api.trusted_proxies"]
        assert box.gateway.api.web.url.startswith("https://")
        assert await status() == 401
        api["bind"] = f"127.0.0.1:{steady_port()}"
        assert (await box.reload()).applied == ["api.bind"]
        assert str(box.gateway.api.address) == api["bind"]
        assert await status() == 401
        assert await is_alive(device)


async def test_an_address_of_the_http_interface_that_is_in_the_way_of_the_new_one_waits_with_its_login(
    tmp_path: Path,
) -> None:
    write_tokens(tmp_path / "tokens", {VIEWER_TOKEN: "viewer"})
    port = steady_port()
    open_to_all = {"bind": f"0.0.0.0:{port}", "token_file": str(tmp_path / "tokens")}
    async with live_gateway(tmp_path, api=open_to_all) as box, aiohttp.ClientSession() as session:
        box.file["api"] = {"bind": f"127.0.0.1:{port}"}
        report = await box.reload()
        assert report.waiting_for_restart == ["api.bind", "api.token_file"]
        assert "api.bind (the old address is in its way)" in report.message
        async with session.get(f"http://127.0.0.1:{port}/api/v1/status") as answer:
            assert answer.status == 401


async def test_an_address_that_another_program_has_changes_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        async with live_gateway(tmp_path) as box:
            box.file["api"] |= {"bind": f"127.0.0.1:{taken.getsockname()[1]}", "hosts": ["new.example"]}
            (problem,) = (await box.reload()).problems
            assert problem.key == "api.bind"
            assert "another program listens there" in problem.message
            assert box.configuration.settings.api.hosts == ()


async def test_certificates_that_were_renewed_in_place_are_shown_after_a_reload(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    pair = authority.server()
    files = {"cert_file": str(pair.cert_file), "key_file": str(pair.key_file)}
    doors = [
        {"name": "local", "bind": "127.0.0.1:0"},
        {"name": "tls", "transport": "tls", "bind": "127.0.0.1:0", "tls": files},
    ]
    async with live_gateway(tmp_path, listeners=doors, api={"bind": "127.0.0.1:0", "tls": files}) as box:

        async def serials() -> set[int]:
            found = set()
            for port in (box.port("tls"), box.gateway.api.address.port):
                _, writer = await asyncio.open_connection(
                    "127.0.0.1", port, ssl=authority.client_context(), server_hostname="localhost"
                )
                found.add(int(writer.get_extra_info("ssl_object").getpeercert()["serialNumber"], 16))
                writer.close()
                await writer.wait_closed()
            return found

        assert await serials() == {pair.certificate.serial_number}
        new = authority.server()  # of the same name: it replaces the files
        assert (await box.reload()).is_valid
        assert await serials() == {new.certificate.serial_number}
        new.key_file.write_bytes(authority.server("other").key_file.read_bytes())  # half of a renewal
        assert not (await box.reload()).is_valid
        assert await serials() == {new.certificate.serial_number}


def mistakes() -> dict[str, dict[str, Any]]:
    return {
        "a value": {"log": {"level": "loud"}},
        "a key": {"nonsense": 1},
        "an ACL file": {"access": [{"name": "default", "acl_file": "ACL"}]},
        "a certificate": {
            "listeners": [
                {"name": "local", "bind": "127.0.0.1:0"},
                {
                    "name": "tls",
                    "transport": "tls",
                    "bind": "127.0.0.1:8883",
                    "tls": {"cert_file": "ACL", "key_file": "ACL"},
                },
            ]
        },
        "a certificate of an uplink": {
            "uplinks": [{"name": "cloud", "url": "mqtts://127.0.0.1:1", "tls": {"ca_file": "ACL"}}]
        },
        "an address that another program has": {
            "listeners": [{"name": "local", "bind": "127.0.0.1:0"}, {"name": "taken", "bind": "127.0.0.1:TAKEN"}]
        },
        "an address that this machine does not have": {
            "listeners": [{"name": "local", "bind": "127.0.0.1:0"}, {"name": "far", "bind": "192.0.2.1:1883"}],
            "access": [{"name": "default", "anonymous": "allow"}],
        },
    }


def filled(value: Any, words: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(each, words) for key, each in value.items()}
    if isinstance(value, list):
        return [filled(each, words) for each in value]
    for word, text in words.items():
        value = value.replace(word, text) if isinstance(value, str) else value
    return value


@pytest.mark.parametrize("mistake", mistakes())
async def test_a_bad_file_leaves_everything_as_it_was(tmp_path: Path, mistake: str, broker: Mosquitto) -> None:
    (tmp_path / "nonsense").write_text("oh no\n")
    (tmp_path / "nonsense").chmod(0o600)
    async with live_gateway(tmp_path) as box:
        device = await box.device()
        settings, uplink = box.configuration.settings, box.gateway.uplinks["cloud"]
        words = {"ACL": str(tmp_path / "nonsense"), "TAKEN": str(broker.port)}
        box.file |= filled(mistakes()[mistake], words) | {"streams": [{"name": "telemetry", "topics": ["b/#"]}]}
        report = await box.reload()
        assert report.problems
        assert (list(report.applied), list(report.waiting_for_restart)) == ([], [])
        assert "What held before stays in force." in report.message
        assert box.configuration.settings is settings
        assert box.gateway.uplinks["cloud"] is uplink
        assert [one.name for one in box.gateway.listeners] == ["local"]
        await publish(device, b"1")
        assert box.gateway.spool.lanes["telemetry"].waiting_records == 1


async def test_a_value_of_the_environment_wins_over_the_new_file_and_is_named(tmp_path: Path) -> None:
    environ = {"FIELDGATE__RETAINED__MAX_MESSAGES": "7"}
    async with live_gateway(tmp_path, environ=environ) as box:
        box.file["retained"] = {"max_messages": 9}
        report = await box.reload()
        assert report.applied == []
        assert box.configuration.settings.retained.max_messages == 7
        assert any("retained.max_messages" in sentence for sentence in report.advice)


async def test_a_changed_secret_is_told_and_never_shown(tmp_path: Path) -> None:
    async with live_gateway(tmp_path, uplinks=[cloud(1, username="edge", password="hunter-1")]) as box:
        box.file["uplinks"][0]["password"] = "hunter-2"
        report = await box.reload()
        (change,) = report.changes
        assert (change.key, change.before, change.after) == (
            "uplinks[cloud].password",
            '"********"',
            "******** (changed)",
        )
        assert "hunter" not in repr(report) + repr(box.configuration.effective())


async def test_an_error_that_nobody_thought_of_leaves_everything_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with live_gateway(tmp_path) as box:
        device, settings = await box.device(), box.configuration.settings

        async def break_down(_settings: GatewaySettings) -> None:
            raise RuntimeError("a mistake of ours")

        monkeypatch.setattr(box.gateway.spool, "add_streams", break_down)
        box.file["retained"] = {"max_messages": 7}
        report = await box.reload()
        assert "an error in the gateway kept it from being used (RuntimeError)" in report.problems[0].message
        assert box.configuration.settings is settings
        assert await is_alive(device)


async def test_an_error_in_the_middle_of_a_change_ends_the_gateway(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def break_down(_settings: GatewaySettings) -> None:
        raise RuntimeError("a mistake of ours")

    async def change_it() -> None:
        async with live_gateway(tmp_path) as box:
            monkeypatch.setattr(box.gateway.spool, "reroute", break_down)
            box.file["uplinks"] = [cloud(1, window=3)]
            with pytest.raises(RuntimeError):
                await box.reload()
            async with asyncio.timeout(TIMEOUT_S):
                await box.gateway.tasks.ended()

    with pytest.raises(RuntimeError, match="a mistake of ours"):  # by `Gateway.check`, at the end
        await change_it()


async def test_a_listener_that_gets_another_name_stays_open_under_the_old_one_until_a_restart(tmp_path: Path) -> None:
    doors = [{"name": "local", "bind": f"127.0.0.1:{steady_port()}"}]
    async with live_gateway(tmp_path, listeners=doors) as box:
        box.file["listeners"] = [{**doors[0], "name": "main"}]
        report = await box.reload()
        assert report.applied == []
        assert report.waiting_for_restart == ["listeners[local]", "listeners[main]"]
        await box.device()
