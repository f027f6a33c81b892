"""The origin of a request: the connection's own address, or the one that the trusted edge before the gate writes into headers.

Headers from any other address are not read: a client that connects directly could write anything into them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from werkzeug.datastructures import Headers

from app.settings import Settings

UNKNOWN_COUNTRY = "XX"  # developers.cloudflare.com/fundamentals/reference/http-headers, CF-IPCountry
_COUNTRY = re.compile(r"[A-Z][A-Z0-9]")


@dataclass(frozen=True, slots=True)
class Origin:
    """An address, and a country (ISO 3166-1, or T1 for Tor) if the edge names one."""

    address: str
    country: str


def origin_of(peer: str, headers: Headers, settings: Settings) -> Origin:
    """Return the origin of a request. `peer` is the address of the connection."""
    networks = settings.proxies
    connected = _address(peer)
    if connected is None or not _is_within(connected, networks):
        return Origin(str(connected or ""), "")
    chain = headers.get(settings.address_header, "").split(",") if settings.address_header else []
    country = headers.get(settings.country_header, "") if settings.country_header else ""
    is_known = _COUNTRY.fullmatch(country) and country != UNKNOWN_COUNTRY
    return Origin(str(_first_stranger(chain, networks) or connected), country if is_known else "")


def _first_stranger(chain: Sequence[str], networks: Sequence[IPv4Network | IPv6Network]) -> IPv4Address | IPv6Address | None:
    """Return the last address in the chain that is not the edge's own; anybody may have written those before it."""
    for text in reversed(chain):
        address = _address(text)
        if address is None or not _is_within(address, networks):
            return address
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_within(address: IPv4Address | IPv6Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
