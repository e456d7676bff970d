"""TLS connections that read the trusted certificates once, for AWS and the agents alike.

urllib3 reads the file again for each connection that it opens: 16 ms of a processor for certifi's 140 certificates, a
tenth of a second with 256 MB, and 3 MB for each context that holds them.
"""

from collections.abc import Iterable
from functools import cache
from ssl import SSLContext

from botocore.awsrequest import AWSHTTPSConnection, AWSHTTPSConnectionPool
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import SSLError
from urllib3.util.ssl_ import ALPN_PROTOCOLS, create_urllib3_context


class TrustingConnection(HTTPSConnection):
    """A connection whose TLS context is that of all connections that trust the same file."""

    def connect(self) -> None:
        """Connects, and verifies the other side as urllib3 does."""
        if self.ca_certs:
            self.ssl_context, self.ca_certs = _context(self.ca_certs), None
        super().connect()


class _AwsConnection(TrustingConnection, AWSHTTPSConnection):  # type: ignore[misc] # as botocore combines the two
    pass


def share_context_with_aws() -> None:
    """Lets the clients of botocore connect so as well."""
    AWSHTTPSConnectionPool.ConnectionCls = _AwsConnection


@cache
def _context(certificates: str) -> SSLContext:
    context = create_urllib3_context()
    try:
        context.load_verify_locations(certificates)
    except OSError as fault:
        # As urllib3 raises it; as it is, botocore would say that the other side has closed the connection.
        raise SSLError(fault) from fault
    context.set_alpn_protocols(ALPN_PROTOCOLS)
    # urllib3 sets them for each connection, which frees what another thread's handshake is reading
    # (python/cpython#141012, open in 2026-11).
    context.set_alpn_protocols = _keep_protocols  # type: ignore[assignment,method-assign]
    return context


def _keep_protocols(_protocols: Iterable[str]) -> None:
    pass
