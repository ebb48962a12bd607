"""The description of the HTTP interface, held against running programs by schemathesis.

What it makes up of the description (right requests and wrong ones) has to be answered as the description says: no
error of the server, a status, a content type and a body that it names. `make test` asks a little, the slow tests more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bridge.receiver.aside_table import Aside
from bridge.receiver.state import State
from tests.support.api_gateway import OPERATOR, VIEWER, ApiGateway, bearer
from tests.support.receiver_process import ReceiverProcess

# schemathesis draws from `random` in its strategies; Hypothesis seeds that, so the examples are the same each time.
pytestmark = pytest.mark.filterwarnings("ignore:Do not use the `random` module inside strategies")

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
FOLLOWED = "/api/v1/tail"
"""Never ends, and is tested where it is read."""
DOCS = Path(__file__).parents[2] / "docs"
DEAD_PORT = 1
PROBES = ("/healthz", "/readyz")


def operations(name: str) -> list[Any]:
    """Those of a description, but the one that never ends."""
    found = [result.ok() for result in schemathesis.openapi.from_path(DOCS / name).get_all_operations()]
    return [operation for operation in found if operation.path != FOLLOWED]


def label(value: Any) -> str | None:
    return getattr(value, "label", None)


GATEWAY = operations("openapi.json")
RECEIVER = operations("openapi-receiver.json")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiGateway]:
    with ApiGateway(tmp_path_factory.mktemp("gateway")) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("receiver")
    asyncio.run(set_something_aside(folder / "receiver.db"))
    with ReceiverProcess(folder, DEAD_PORT) as process:
        assert process.wait_ready()
        yield f"http://{process.address}"
        process.terminate()


async def set_something_aside(path: Path) -> None:
    state = await State.open(path)
    aside = Aside(received_at_us=1, code="bad_magic", reason="No frame.", topic="fieldgate/v1/x", data=b"what came")
    await state.settle([], [aside, aside, aside], {})
    await state.close()


def ask(operation: Any, url: str, token: str | None, *, mode: GenerationMode, examples: int) -> None:
    session = requests.Session()
    # That something is wrong is what they are there to tell, and 503 is how.
    checks = [check for check in CHECKS if operation.path not in PROBES or check is not not_a_server_error]

    @settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def answered_as_described(case: Any) -> None:
        headers = {} if token is None else bearer(token)
        case.call_and_validate(base_url=url, headers=headers, checks=checks, session=session, timeout=60)

    with session:
        try:
            answered_as_described()
        except Unsatisfiable:
            # There is no wrong way to ask for what takes nothing.
            assert mode is GenerationMode.NEGATIVE


@pytest.mark.parametrize("token", [OPERATOR, VIEWER, None], ids=["operator", "viewer", "stranger"])
@pytest.mark.parametrize("operation", GATEWAY, ids=label)
def test_what_is_asked_of_a_gateway_as_described_is_answered_as_described(
    operation: Any, token: str | None, gateway: ApiGateway
) -> None:
    ask(operation, gateway.url, token, mode=GenerationMode.POSITIVE, examples=3 if token == OPERATOR else 1)


@pytest.mark.parametrize("operation", RECEIVER, ids=label)
def test_what_is_asked_of_a_receiver_as_described_is_answered_as_described(operation: Any, receiver: str) -> None:
    ask(operation, receiver, None, mode=GenerationMode.POSITIVE, examples=3)


@pytest.mark.slow
@pytest.mark.parametrize("operation", GATEWAY, ids=label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_many_requests_to_a_gateway_right_and_wrong_are_answered_as_described(
    operation: Any, mode: GenerationMode, gateway: ApiGateway
) -> None:
    ask(operation, gateway.url, OPERATOR, mode=mode, examples=20)


@pytest.mark.slow
@pytest.mark.parametrize("operation", RECEIVER, ids=label)
@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
def test_many_requests_to_a_receiver_right_and_wrong_are_answered_as_described(
    operation: Any, mode: GenerationMode, receiver: str
) -> None:
    ask(operation, receiver, None, mode=mode, examples=20)
