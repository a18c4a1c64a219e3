"""A DNS server for one test: host names to the addresses that are in them just now."""

import asyncio
import ipaddress
import struct

A, AAAA = 1, 28


class Names(asyncio.DatagramProtocol):
    """`zone` maps a host name with the last dot to IPv4 and IPv6 addresses; others do not exist (RFC 1035)."""

    def __init__(self) -> None:
        self.zone: dict[str, list[str]] = {}

    async def start(self) -> int:
        """Serve on a free UDP port of 127.0.0.1 and return it."""
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        port: int = self.transport.get_extra_info("sockname")[1]
        return port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Nothing to do: the transport is kept by start()."""

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer one question of type A or AAAA."""
        name, end = self._name(data)
        known = self.zone.get(name)
        (kind,) = struct.unpack_from("!H", data, end)
        packed = [ipaddress.ip_address(address).packed for address in known or []]
        addresses = [address for address in packed if len(address) == {A: 4, AAAA: 16}.get(kind)]
        not_found = 0 if known is not None else 3
        header = data[:2] + struct.pack("!HHHHH", 0x8580 | not_found, 1, len(addresses), 0, 0)
        answers = b"".join(
            b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 5, len(address)) + address for address in addresses
        )
        self.transport.sendto(header + data[12 : end + 4] + answers, addr)

    @staticmethod
    def _name(data: bytes) -> tuple[str, int]:
        labels, at = [], 12
        while length := data[at]:
            labels.append(data[at + 1 : at + 1 + length].decode())
            at += 1 + length
        return ".".join(labels).lower() + ".", at + 1
