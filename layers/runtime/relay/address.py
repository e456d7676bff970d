"""The person's own network address, as agents are told it."""

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

_NOBODYS = {"0.0.0.0", "::"}  # noqa: S104 - not to listen on


def own_address(value: str | None) -> str | None:
    """The address that a text is, version 6 in its usual form; None for what is none, and for what is nobody's."""
    if not value:
        return None
    is_version_6 = ":" in value
    try:
        # A fifteenth of what the module ipaddress takes.
        packed = inet_pton(AF_INET6 if is_version_6 else AF_INET, value)
    except (OSError, ValueError):
        return None
    # There is one way to write version 4.
    address = inet_ntop(AF_INET6, packed) if is_version_6 else value
    return None if address in _NOBODYS else address
