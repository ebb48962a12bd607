"""Tests. A package by name: gmqtt installs a `tests` of its own, and a folder without this file would lose against it."""
