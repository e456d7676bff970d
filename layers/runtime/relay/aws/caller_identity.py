"""A signed request that proves to another cloud which AWS role this function runs as, without a key of that cloud."""

from urllib.parse import quote

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from relay.aws.clients import session
from relay.encoding import encode
from relay.errors import CredentialsRefused

TARGET_HEADER = "x-goog-cloud-target-resource"


def subject_token(provider: str) -> str:
    """The signed GetCallerIdentity request that Google's token exchange sends on to AWS, as URL-quoted JSON.

    It is not sent here. `provider` is the resource name of the workload identity pool's provider: signed along, so that
    nobody can use the request for another one. AWS takes it for fifteen minutes.
    Source: google-auth 2.63.0, google/auth/aws.py; docs.cloud.google.com/iam, workload identity federation with AWS.

    Raises:
        CredentialsRefused: this machine has no AWS credentials or no region.
    """
    known = session()
    credentials, region = known.get_credentials(), known.get_config_variable("region")
    if credentials is None or not region:
        raise CredentialsRefused("no AWS credentials or no region to prove to Google")
    host = f"sts.{region}.amazonaws.com"
    url = f"https://{host}?Action=GetCallerIdentity&Version=2011-06-15"
    request = AWSRequest("POST", url, {"host": host, TARGET_HEADER: provider})
    SigV4Auth(credentials.get_frozen_credentials(), "sts", region).add_auth(request)
    headers = [{"key": name, "value": value} for name, value in request.headers.items()]
    return quote(encode({"url": url, "method": "POST", "headers": headers}).decode())
