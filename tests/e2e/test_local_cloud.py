"""The local cloud starts functions fast."""

from collections.abc import Callable

from local.cloud import HOME
from tests.e2e.conftest import CLOUD, Caller


def test_all_processes_of_functions_share_one_unpacked_layer(app: Caller, unique: Callable[[], str]) -> None:
    app.settled(app.accepted("/login", {"eventId": unique(), "customerId": unique()}))
    layers = list((HOME / CLOUD / "tmp").glob("ministack-lambda-*/layer_0"))
    assert len(layers) > 2
    assert len({layer.resolve() for layer in layers}) == 1
    assert all(layer.is_symlink() for layer in layers)
