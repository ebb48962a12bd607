"""Run one of Eclipse Paho's interoperability suites against a server; used as a command of its own by the tests.

    python paho_suite.py FOLDER SUITE PORT [TEST ...]

FOLDER is `interoperability` of a checkout of eclipse-paho/paho.mqtt.testing, SUITE is client_test or client_test5. Its
modules are loaded from there; the names that its own `main` would set are set here, since that takes no port. Prints a
line for each test, and exits with 0 when all of them passed; a name with a minus before it is left out.
"""

from __future__ import annotations

import importlib
import logging
import sys
import unittest

TOPICS = ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")
FILTERS = ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")


def _tests(suite: unittest.TestSuite | unittest.TestCase) -> list[unittest.TestCase]:
    if isinstance(suite, unittest.TestCase):
        return [suite]
    return [test for each in suite for test in _tests(each)]


def _name(test: unittest.TestCase) -> str:
    return test.id().rpartition(".")[2]


def main() -> int:
    """See above."""
    folder, name, port, *wanted = sys.argv[1:]
    sys.path.insert(0, folder)
    suite = importlib.import_module(name)
    prefix = "client_test5/" if name == "client_test5" else ""
    for key, value in {
        "host": "127.0.0.1",
        "port": int(port),
        "topic_prefix": prefix,
        "topics": [prefix + topic for topic in TOPICS],
        "wildtopics": [prefix + topic_filter for topic_filter in FILTERS],
        "nosubscribe_topics": ("test/nosubscribe",),
    }.items():
        setattr(suite, key, value)
    logging.getLogger().setLevel(logging.CRITICAL)
    left_out = {each[1:] for each in wanted if each.startswith("-")}
    only = {each for each in wanted if not each.startswith("-")}
    tests = [
        test
        for test in _tests(unittest.defaultTestLoader.loadTestsFromModule(suite))
        if _name(test) not in left_out and (not only or _name(test) in only)
    ]
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2).run(unittest.TestSuite(tests))
    print(f"PASSED {result.testsRun - len(result.failures) - len(result.errors)} OF {len(tests)}")
    return not result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
