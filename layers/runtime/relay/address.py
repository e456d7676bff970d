"""The person's own network address, as agents are told it."""

from ipaddress import IPv4Address, IPv6Address


def own_address(value: str | None) -> IPv4Address | IPv6Address | None:
    """The address that a text is; None for what is none, and for 0.0.0.0 and ::, which are nobody's."""
    if not value:
        return None
    try:
        # Told apart by the colon, since to try one after the other costs twice as much.
        address = IPv6Address(value) if ":" in value else IPv4Address(value)
    except ValueError:
        return None
    return None if address.is_unspecified else address
