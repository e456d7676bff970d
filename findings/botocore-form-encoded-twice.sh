#!/usr/bin/env bash
# botocore 1.44.5 (2026-11): a service of the query protocol, such as SNS, has its form percent-encoded twice for each
# call, once to sign it and once to send it. A publish of a realistic message takes an eighth more of the processor.
# Expected: once, as the JSON protocol's bodies are written.
# What the product does: it encodes the form itself, in botocore's event before-call (layers/runtime/relay/aws/clients.py;
# tests/unit/aws/test_clients.py).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m venv env
env/bin/python -m pip install --quiet --disable-pip-version-check botocore==1.44.5 2>/dev/null
AWS_ACCESS_KEY_ID=example AWS_SECRET_ACCESS_KEY=example env/bin/python - <<'PY'
import urllib.parse
from io import BytesIO

from botocore import awsrequest
from botocore.session import Session

encoded = []
def counting(*arguments, **options):
    encoded.append(arguments)
    return urllib.parse.urlencode(*arguments, **options)
awsrequest.urlencode = counting

class Raw(BytesIO):
    def stream(self):
        yield self.getvalue()

ANSWER = b"<PublishResponse><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>"
client = Session().create_client("sns", region_name="us-east-1")
client.meta.events.register(
    "before-send.sns", lambda request, **_: awsrequest.AWSResponse(request.url, 200, {}, Raw(ANSWER)))
answer = client.publish(TopicArn="arn:aws:sns:us-east-1:123456789012:example", Message='{"city":"Recife"}')
print(f"published {answer['MessageId']}; the form was encoded {len(encoded)} times")
assert len(encoded) == 2, encoded
PY
