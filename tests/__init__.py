"""Tests. A package by name, because gmqtt installs a `tests` of its own: a folder without this file lost against it."""
