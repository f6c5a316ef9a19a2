"""The parts of TFRecord and of protocol buffers that NAS-Bench-101 needs, without TensorFlow.

A TFRecord is a sequence of records, each

    length of the data, 8 bytes, little-endian | its checksum, 4 bytes | data | its checksum

where a checksum is a CRC-32C (Castagnoli), rotated by 15 bits, plus a constant. A protocol buffer
is a sequence of fields, each with a number, a wire type, and a value.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

from greenmachine.errors import DataError

__all__ = ["Field", "fields_of", "read_records"]

Field: TypeAlias = tuple[int, int | float | bytes]
"""Number of a field and its value: an integer, a double, or the bytes of text or a message."""

_POLYNOMIAL = 0x82F63B78  # Castagnoli's, bits reversed
_MASK_DELTA = 0xA282EAD8
_AGAIN = "download it again"


def _table() -> tuple[int, ...]:
    entries = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (_POLYNOMIAL if value & 1 else 0)
        entries.append(value)
    return tuple(entries)


_TABLE = _table()


def _masked_crc(data: bytes) -> int:
    crc, table = 0xFFFFFFFF, _TABLE
    for byte in data:
        crc = table[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    crc ^= 0xFFFFFFFF
    return (((crc >> 15) | (crc << 17)) + _MASK_DELTA) & 0xFFFFFFFF


def read_records(path: Path) -> Iterator[bytes]:
    """Yield the data of every record of ``path``, after checking its checksums.

    Raises:
        DataError: the file ends within a record, or a checksum differs.
    """
    place, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while head := file.read(12):
            if len(head) < 12 or _masked_crc(head[:8]) != _number(head[8:]):
                raise DataError(f"{path} is not a TFRecord, or damaged at byte {place}; {_AGAIN}")
            (length,) = struct.unpack("<Q", head[:8])
            if place + length + 16 > size:  # not read, because any length has a correct checksum
                raise DataError(f"{path} ends within the record at byte {place}; {_AGAIN}")
            data, tail = file.read(length), file.read(4)
            if _masked_crc(data) != _number(tail):
                raise DataError(f"{path} is damaged in the record at byte {place}; {_AGAIN}")
            place += length + 16
            yield data


def _number(data: bytes) -> int:
    return int.from_bytes(data, "little")


def fields_of(message: bytes) -> Iterator[Field]:
    """Yield the fields of a protocol buffer, in the order of the message.

    Raises:
        ValueError: the message ends within a field, or has an unknown wire type.
    """
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        value: int | float | bytes
        if wire == 0:
            value, place = _varint(message, place)
        elif wire == 1:
            (value,) = struct.unpack("<d", _slice(message, place, 8))
            place += 8
        elif wire == 2:
            length, place = _varint(message, place)
            value = _slice(message, place, length)
            place += length
        elif wire == 5:
            (value,) = struct.unpack("<f", _slice(message, place, 4))
            place += 4
        else:
            raise ValueError(f"field {number} has wire type {wire}")
        yield number, value


def _varint(message: bytes, place: int) -> tuple[int, int]:
    """Return a number, stored as 7 bits per byte, little-endian, and the position after it."""
    value = shift = 0
    while True:
        if place >= len(message):
            raise ValueError("the message ends within a number")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place


def _slice(message: bytes, place: int, length: int) -> bytes:
    part = message[place : place + length]
    if len(part) < length:
        raise ValueError("the message ends within a field")
    return part
