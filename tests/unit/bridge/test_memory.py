import platform

import pytest

from bridge.memory import return_freed_memory


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has mallopt")
def test_glibc_takes_the_threshold() -> None:
    assert return_freed_memory()
