"""ingest in this process: API Gateway's event in, 202 out; AWS is answered for where HTTP would begin."""

import contextlib
import io
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from botocore.config import Config
from botocore.session import Session

from bench import samples
from bench.canned_responses import answer
from bench.measure import Extent, Row, Say, Series, in_turns

TARGET = 3.0
_KEYS = f"{samples.PREFIX}/ledger-keys"
# One answer for all, so that the stub itself costs nothing that could be taken for ingest's.
_ANSWERS = {
    "sns.Publish": answer("/", {}, b"Action=Publish", {}).body,
    "sns.PublishBatch": answer("/", {}, b"Action=PublishBatch", {}).body,
    "dynamodb.BatchWriteItem": b"{}",
    "ssm.GetParameter": answer(
        "/", {"x-amz-target": "AmazonSSM.GetParameter"}, json.dumps({"Name": _KEYS}).encode(), samples.stored({})
    ).body,
}


class _Raw:
    """An answer's body as botocore reads it from urllib3."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def stream(self, **_: Any) -> Iterator[bytes]:  # noqa: ANN401 - sizes of pieces, which are of no use here
        yield self._body


def answered_here(client: Any, counts: Counter[str]) -> None:  # noqa: ANN401 - any client
    """Answers a client's requests in this process, instead of sending them; counts them by call."""

    def send(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        target = request.headers.get("x-amz-target", b"sns.Publish")
        target = (target.decode() if isinstance(target, bytes) else target).split(".")[1]
        batch = target == "Publish" and "Action=PublishBatch" in str(request.body)[:40]
        call = f"{client.meta.service_model.service_name}.{target}{'Batch' * batch}"
        counts[call] += 1
        return AWSResponse(request.url, 200, HTTPHeaders(), _Raw(_ANSWERS[call]))

    client.meta.events.register("before-send", send)


def measure(extent: Extent, say: Say) -> Iterator[Row]:
    """One event and a batch of ten by ingest, against a handler that reads the JSON and publishes."""
    os.environ.update(samples.environment("http://127.0.0.1:1"))
    from functions.ingest.app import handler  # noqa: PLC0415 - it may read its environment as soon as it is imported
    from relay.aws import clients  # noqa: PLC0415 - as above

    calls: Counter[str] = Counter()
    for client in (clients.sns(), clients.dynamodb(), clients.ssm()):
        answered_here(client, calls)
    topic = Session().create_client("sns", config=Config(connect_timeout=1, read_timeout=2))
    answered_here(topic, Counter())
    # One for all: the logger keeps the output that it has met first.
    printed = io.StringIO()
    for name, request, status in (("one event", _ONE, 202), ("a batch of ten", _TEN, 207)):
        say(f"ingest: {name}")
        works = {"ours": partial(handler, request, None), "reference": partial(_published, topic, request)}
        # The first call of an instance reads the ledger's key as well, and is not counted.
        with contextlib.redirect_stdout(printed):
            works["ours"]()
            calls.clear()
            known = printed.tell()
            response = works["ours"]()
            logged = printed.tell() - known
            if response["statusCode"] != status:
                raise AssertionError(f"ingest did not take on {name}")
            of_response = sum(len(name) + len(value) + 4 for name, value in response["headers"].items())
            of_response += len(response["body"])
            more = {"calls": dict(calls), "log_bytes": logged, "response_bytes": of_response}
            yield _row(name, in_turns(works, extent.rounds), more)


def _row(name: str, taken: Mapping[str, Series], more: Mapping[str, Any]) -> Row:
    ours, reference = taken["ours"], taken["reference"]
    more = {**more, "events_a_second": 1e6 / ours.median, "reference_us": reference.median}
    ratio = ours.ratio(reference)
    met, note = ratio <= TARGET, f"{more['events_a_second']:,.0f} calls/s"
    return Row("ingest", name, ours.median, "µs", "parse and publish", ratio, f"≤ {TARGET:g}", met, more, note)


_ONE = samples.proxied(samples.LOGIN)
_TEN = samples.proxied({"events": [{"type": "login", **samples.LOGIN} for _ in range(10)]}, "/batch")


def _published(topic: Any, request: Mapping[str, Any]) -> dict[str, Any]:  # noqa: ANN401 - a client
    """The reference: what any handler must do, with no check, no receipt and no log."""
    document = json.loads(request["body"])
    arn = samples.environment("")["TOPIC_ARN"]
    if "events" not in document:
        message = {"Message": json.dumps(document), "MessageGroupId": "g", "MessageDeduplicationId": "d"}
        topic.publish(TopicArn=arn, **message)
    else:
        entries = [
            {"Id": str(at), "Message": json.dumps(one), "MessageGroupId": "g", "MessageDeduplicationId": str(at)}
            for at, one in enumerate(document["events"])
        ]
        topic.publish_batch(TopicArn=arn, PublishBatchRequestEntries=entries)
    return {"statusCode": 202, "body": json.dumps({"status": "accepted"})}
