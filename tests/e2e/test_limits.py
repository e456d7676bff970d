"""Limits: an app that calls too often must wait, and no other app does."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from local.cloud import Stack
from local.deploy import STAGE, Cloud
from tests.e2e.conftest import Caller, store_app


@pytest.fixture
def hurried(stack: Stack) -> Iterator[Caller]:
    """An app that may make two calls at once and one a second."""
    api = Cloud(stack.aws_endpoint, stack.region).client("apigateway")
    caller = store_app(stack, "hurried", identity="optional")
    (known,) = api.get_usage_plans()["items"]
    stage = known["apiStages"][0]
    plan = api.create_usage_plan(
        name="a small one",
        apiStages=[{"apiId": stage["apiId"], "stage": stage["stage"]}],
        throttle={"rateLimit": 1.0, "burstLimit": 2},
    )
    (key,) = api.get_api_keys(nameQuery=f"session-relay-{STAGE}-hurried")["items"]
    api.delete_usage_plan_key(usagePlanId=known["id"], keyId=key["id"])
    api.create_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"], keyType="API_KEY")
    yield caller
    api.delete_usage_plan_key(usagePlanId=plan["id"], keyId=key["id"])
    api.create_usage_plan_key(usagePlanId=known["id"], keyId=key["id"], keyType="API_KEY")
    api.update_usage_plan(
        usagePlanId=plan["id"],
        patchOperations=[{"op": "remove", "path": "/apiStages", "value": f"{stage['apiId']}:{stage['stage']}"}],
    )
    api.delete_usage_plan(usagePlanId=plan["id"])


def test_an_app_over_its_rate_gets_429_and_another_is_served(hurried: Caller, app: Caller) -> None:
    with ThreadPoolExecutor(max_workers=10) as callers:
        answers = list(callers.map(lambda _: hurried.call("/logout", {}), range(10)))
    statuses = Counter(answer.status_code for answer in answers)
    assert set(statuses) == {202, 429}
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["retry-after"] == "1"
    assert refused.json()["status"] == 429
    assert app.call("/logout", {}).status_code == 202


def test_an_app_that_is_not_in_the_usage_plan_is_refused_with_what_to_do(stack: Stack) -> None:
    api = Cloud(stack.aws_endpoint, stack.region).client("apigateway")
    caller = store_app(stack, "stray", identity="optional")
    (key,) = api.get_api_keys(nameQuery=f"session-relay-{STAGE}-stray")["items"]
    api.delete_api_key(apiKey=key["id"])
    answer = caller.call("/logout", {})
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")
    assert "relay apps admit" in answer.json()["detail"]


def test_a_page_of_an_origin_that_nobody_named_may_not_call(app: Caller) -> None:
    answer = app.call("/login", method="OPTIONS", key=None, headers={"Origin": "https://unknown.example.com"})
    assert answer.status_code == 403
    assert "access-control-allow-origin" not in answer.headers
