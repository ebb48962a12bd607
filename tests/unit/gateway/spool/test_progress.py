from bridge.ports import Gap
from gateway.spool.gaps import EVERYONE
from gateway.spool.lane import Lane
from gateway.spool.progress import Progress


def lane(**watermarks: int) -> Lane:
    return Lane(
        id=7,
        name="telemetry",
        epoch="e",
        first_seq=1,
        next_seq=101,
        synced_seq=101,
        stored_start=0,
        stored_end=0,
        first_received_at_us=None,
        watermarks=watermarks,
    )


def gap(first: int, count: int) -> Gap:
    return Gap(first_seq=first, count=count, reason="full")


def test_only_a_step_forward_is_news_and_none_goes_beyond_what_there_is() -> None:
    progress, kept = Progress(), lane(cloud=10)
    assert not progress.note("cloud", kept, 10)
    assert not progress
    assert progress.note("cloud", kept, 500)
    assert progress
    assert progress.take({kept.name: kept}).watermarks == (("cloud", 7, 101),)
    assert not progress


def test_the_slowest_uplink_says_what_is_released() -> None:
    progress, kept = Progress(), lane(cloud=10, plant=20)
    progress.note("cloud", kept, 60)
    assert progress.take({kept.name: kept}).released == {"telemetry": 20}


def test_a_gap_is_declared_once_whoever_it_is_for_is_past_it() -> None:
    progress, kept = Progress(), lane(cloud=1, plant=1)
    kept.gaps.add(gap(5, 5))
    kept.gaps.add(gap(20, 5), "cloud")
    progress.note("cloud", kept, 30)
    steps = progress.take({kept.name: kept})
    assert steps.gaps_declared == ((7, "cloud", 20),), "the other uplink has still to be told of the first"
    progress.settle(steps, is_written=True)
    progress.note("plant", kept, 30)
    assert progress.take({kept.name: kept}).gaps_declared == ((7, EVERYONE, 5),)


def test_what_was_not_written_is_said_again() -> None:
    progress, kept = Progress(), lane(cloud=1)
    kept.gaps.add(gap(5, 5))
    progress.note("cloud", kept, 30)
    steps = progress.take({kept.name: kept})
    progress.settle(steps, is_written=False)
    assert progress
    assert progress.take({kept.name: kept}) == steps


def test_an_uplink_that_is_gone_takes_its_steps_and_its_gaps_with_it() -> None:
    progress, kept = Progress(), lane(cloud=1, plant=1)
    kept.gaps.add(gap(20, 5), "plant")
    progress.note("plant", kept, 10)
    progress.forget_uplink(kept, "plant")
    progress.note_carriers(kept)
    steps = progress.take({kept.name: kept})
    assert steps.watermarks == (("cloud", 7, 1),)
    assert steps.gaps_declared == ((7, "plant", 20),)
