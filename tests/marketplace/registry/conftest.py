"""A registry that has just begun, and one with a bundle in it."""

import os

import pytest

from nightschool.tests.marketplace.registry.world import World


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No power is cut here, so nothing need be flushed."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path).begin()


@pytest.fixture
def listed(world):
    world.add()
    world.publish()
    return world
