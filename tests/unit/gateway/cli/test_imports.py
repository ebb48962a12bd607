from __future__ import annotations

import gc

import pytest

from gateway.cli.imports import uncollected


def test_garbage_is_looked_for_again_once_all_is_imported() -> None:
    frozen = gc.get_freeze_count()
    with uncollected():
        assert not gc.isenabled()
    try:
        assert gc.isenabled()
        assert gc.get_freeze_count() > frozen
    finally:
        gc.unfreeze()


def test_a_mistake_in_the_configuration_leaves_the_collector_on() -> None:
    with pytest.raises(ValueError, match="a mistake"), uncollected():
        raise ValueError("a mistake")
    assert gc.isenabled()
