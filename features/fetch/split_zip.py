"""A zip archive in several files (NAME.z01, NAME.z02, ..., NAME.zip), seen as one file that `zipfile` reads.

The files are one stream, cut anywhere. But the list at its end, the central directory, says where a member begins by
the number of a file and a place in it, and `zipfile` refuses that. So the stream is shown with a new list behind it, in
which places are counted from the very beginning. Numbers and layouts are those of PKWARE's APPNOTE, sections 4.3.12
(central directory), 4.3.14 to 4.3.16 (its end) and 4.5.3 (the Zip64 field).
"""

import io
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from typing_extensions import override

from features.errors import FetchError

__all__ = ["SplitZip"]

END = struct.Struct("<4s4H2LH")
END_64 = struct.Struct("<4sQ2H2L4Q")
LOCATOR_64 = struct.Struct("<4sLQL")
ENTRY = struct.Struct("<4s6H3L5H2L")
LONGEST_COMMENT = 65_535
FULL_16, FULL_32 = 0xFFFF, 0xFFFF_FFFF
"""Stand for a number that is in the Zip64 field."""
ZIP64 = 1


class SplitZip(io.RawIOBase):
    """The files of an archive as one, to be read."""

    def __init__(self, paths: Sequence[Path]) -> None:
        """Open the files, in order: NAME.z01, ..., NAME.zip.

        Raises:
            FetchError: they are no such archive.
        """
        self._files: list[BinaryIO] = [path.open("rb") for path in paths]
        self._starts = [0]
        for path in paths:
            self._starts.append(self._starts[-1] + path.stat().st_size)
        self._place = 0
        self._size = self._starts[-1]
        self._directory = b""
        try:
            self._directory_start, self._directory = self._read_directory()
        except (struct.error, IndexError, ValueError) as error:
            self.close()
            raise FetchError(f"{paths[-1].name} and its parts are no split archive ({error})") from None
        self._size = self._directory_start + len(self._directory)

    @override
    def readable(self) -> bool:
        return True

    @override
    def seekable(self) -> bool:
        return True

    @override
    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(22, "a place before the beginning")
        self._place = base + offset
        return self._place

    @override
    def tell(self) -> int:
        return self._place

    @override
    def read(self, size: int | None = -1, /) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._place + size)
        parts = []
        while self._place < end:
            part = self._some(end)
            if not part:
                break
            parts.append(part)
            self._place += len(part)
        return b"".join(parts)

    @override
    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()

    def _some(self, end: int) -> bytes:
        """Bytes from the place that we are at, of one file or of the new list."""
        if self._directory and self._place >= self._directory_start:
            first = self._place - self._directory_start
            return self._directory[first : first + end - self._place]
        if self._directory:
            end = min(end, self._directory_start)
        number = bisect_right(self._starts, self._place) - 1
        file = self._files[number]
        file.seek(self._place - self._starts[number])
        return file.read(min(end, self._starts[number + 1]) - self._place)

    def _at(self, place: int, size: int) -> bytes:
        self._place = place
        return self.read(size)

    def _read_directory(self) -> tuple[int, bytes]:
        """Where the list begins in the stream, and the new one."""
        tail_start = max(0, self._size - END.size - LONGEST_COMMENT)
        tail = self._at(tail_start, self._size - tail_start)
        at = tail.rfind(b"PK\x05\x06")
        if at < 0:
            raise ValueError("its end is missing")
        _, _, disk, _, entries, size, offset, _ = END.unpack_from(tail, at)
        if FULL_16 in (disk, entries) or FULL_32 in (size, offset):
            _, end_disk, end_offset, _ = LOCATOR_64.unpack_from(tail, at - LOCATOR_64.size)
            end = self._at(self._starts[end_disk] + end_offset, END_64.size)
            _, _, _, _, _, disk, _, entries, size, offset = END_64.unpack(end)
        start = self._starts[disk] + offset
        old = self._at(start, size)
        if len(old) < size:
            raise ValueError("its list of members is cut off")
        new = b"".join(self._entries(old, entries))
        end_64 = END_64.pack(b"PK\x06\x06", END_64.size - 12, 45, 45, 0, 0, entries, entries, len(new), start)
        locator = LOCATOR_64.pack(b"PK\x06\x07", 0, start + len(new), 1)
        last = END.pack(b"PK\x05\x06", 0, 0, FULL_16, FULL_16, FULL_32, FULL_32, 0)
        return start, new + end_64 + locator + last

    def _entries(self, old: bytes, count: int) -> Iterator[bytes]:
        """The members of the list, with places counted from the beginning of the stream."""
        at = 0
        for _ in range(count):
            fields = list(ENTRY.unpack_from(old, at))
            if fields[0] != b"PK\x01\x02":
                raise ValueError("its list of members is damaged")
            names, extras, comments = fields[10:13]
            first = at + ENTRY.size
            name, extra = old[first : first + names], old[first + names : first + names + extras]
            comment = old[first + names + extras : first + names + extras + comments]
            at = first + names + extras + comments
            sizes, others = _zip64(extra)
            packed, size, disk, offset = fields[8], fields[9], fields[13], fields[16]
            size = sizes.pop(0) if size == FULL_32 else size
            packed = sizes.pop(0) if packed == FULL_32 else packed
            offset = sizes.pop(0) if offset == FULL_32 else offset
            disk = sizes.pop(0) if disk == FULL_16 else disk
            extra = struct.pack("<2H3Q", ZIP64, 24, size, packed, self._starts[disk] + offset) + others
            fields[8], fields[9], fields[11], fields[13], fields[16] = FULL_32, FULL_32, len(extra), 0, FULL_32
            yield ENTRY.pack(*fields) + name + extra + comment


def _zip64(extra: bytes) -> tuple[list[int], bytes]:
    """The numbers of the Zip64 field of a member, and its other fields."""
    numbers: list[int] = []
    others = b""
    at = 0
    while at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        field = extra[at + 4 : at + 4 + size]
        if kind == ZIP64:
            whole, rest = divmod(len(field), 8)
            numbers = list(struct.unpack_from(f"<{whole}Q", field))
            if rest == 4:
                numbers.append(struct.unpack_from("<L", field, whole * 8)[0])
        else:
            others += extra[at : at + 4 + size]
        at += 4 + size
    return numbers, others
