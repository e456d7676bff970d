"""No test finds the credentials that another's agent has refused."""

import pytest

from relay.delivery import refused


@pytest.fixture(autouse=True)
def _no_refusals() -> None:
    refused.forget()
