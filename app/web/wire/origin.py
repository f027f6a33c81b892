"""Where a request comes from: the connection's own address, or what the trusted edge in front of the gate says in headers.

Headers of anybody else are not read: whoever connects directly could write anything into them.
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
    """An address, and a country (ISO 3166-1, or T1 for Tor) where the edge has said one."""

    address: str
    country: str


def origin_of(peer: str, headers: Headers, settings: Settings) -> Origin:
    """Say where the request comes from. `peer` is the address of who is connected."""
    networks = settings.proxies
    connected = _address(peer)
    if connected is None or not _is_within(connected, networks):
        return Origin(str(connected or ""), "")
    chain = headers.get(settings.address_header, "").split(",") if settings.address_header else []
    country = headers.get(settings.country_header, "") if settings.country_header else ""
    is_known = _COUNTRY.fullmatch(country) and country != UNKNOWN_COUNTRY
    return Origin(str(_first_stranger(chain, networks) or connected), country if is_known else "")


def _first_stranger(chain: Sequence[str], networks: Sequence[IPv4Network | IPv6Network]) -> IPv4Address | IPv6Address | None:
    """Return the last address in the chain that is not the edge's own: what stands before it anybody may have written."""
    for text in reversed(chain):
        found = _address(text)
        if found is None or not _is_within(found, networks):
            return found
    return None


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _is_within(address: IPv4Address | IPv6Address, networks: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in networks if network.version == address.version)
