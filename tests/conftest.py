"""What tests share: the toy world, built once a machine, and its server."""

from collections.abc import Iterator

import pytest

from tests.toy.server import Server
from tests.toy.world import World, build


@pytest.fixture(scope="session")
def world() -> World:
    """The toy world, see :mod:`tests.toy.world`; not to be written to."""
    return build()


@pytest.fixture
def server(world: World) -> Iterator[Server]:
    """A fresh server of the toy world, see :mod:`tests.toy.server`."""
    with Server(world) as running:
        yield running
