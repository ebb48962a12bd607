"""For all tests: what hypothesis does where a test says nothing else (`tests.support.examples`)."""

from __future__ import annotations

from hypothesis import settings

from tests.support.examples import FACTOR, examples

# No deadline: on a busy machine an example may take long, and that would say nothing of the product.
settings.register_profile("quick", derandomize=True, deadline=None)
settings.register_profile("search", max_examples=examples(), derandomize=False, deadline=None, print_blob=True)
settings.load_profile("quick" if FACTOR == 1 else "search")
