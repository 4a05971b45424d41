import os
import shutil
import struct
import subprocess
import zipfile
from pathlib import Path

import pytest

from features.errors import FetchError
from features.fetch.split_zip import SplitZip
from tests.fixtures.zips import cut, zipped

MEMBERS = {f"noisy/{number}.wav": os.urandom(40_000 + number) for number in range(9)} | {"noisy/empty.txt": b""}


def written(folder: Path, pieces: list[bytes]) -> list[Path]:
    names = [*(f"a.z{number:02}" for number in range(1, len(pieces))), "a.zip"]
    for name, piece in zip(names, pieces, strict=True):
        (folder / name).write_bytes(piece)
    return [folder / name for name in names]


@pytest.mark.parametrize("at", [7_001, 64_000, 10_000_000])
def test_the_pieces_are_one_archive(at: int, tmp_path: Path) -> None:
    paths = written(tmp_path, cut(zipped(MEMBERS), at))
    with SplitZip(paths) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP's zip")
def test_what_info_zip_has_cut_is_read(tmp_path: Path) -> None:
    for name, content in MEMBERS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    subprocess.run(["zip", "-q", "-r", "-s", "64k", "a.zip", "noisy"], cwd=tmp_path, check=True)
    paths = [*sorted(tmp_path.glob("a.z[0-9]*")), tmp_path / "a.zip"]
    assert len(paths) > 4
    with SplitZip(paths) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")} == MEMBERS


def test_a_piece_that_is_missing_or_cut_off(tmp_path: Path) -> None:
    paths = written(tmp_path, cut(zipped(MEMBERS), 64_000))
    with pytest.raises(FetchError, match=r"^a.z02 and its parts are no split archive \(its end is missing\)$"):
        SplitZip(paths[:2])
    with pytest.raises(FetchError, match=r"^a.zip and its parts are no split archive"):
        SplitZip(paths[-1:])
    paths[-1].write_bytes(paths[-1].read_bytes()[-100:])
    with pytest.raises(FetchError, match="no split archive"):
        SplitZip(paths)


def test_numbers_that_need_zip64(tmp_path: Path) -> None:
    """Archives above 4 GB say so in further records: here with small numbers, as they may."""
    pieces = cut(zipped(MEMBERS), 64_000)
    last, at = pieces[-1], pieces[-1].rindex(b"PK\x05\x06")
    _, disk, _, entries, _, size, offset, _ = struct.unpack_from("<4s4H2LH", last, at)
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\x06\x06", 44, 45, 45, disk, disk, entries, entries, size, offset)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", *[0xFFFF] * 4, *[0xFFFF_FFFF] * 2, 0)
    directory = bytearray(last[offset:at])
    extra = struct.pack("<2HQ", 1, 8, struct.unpack_from("<L", directory, 42)[0])  # the place of the first member
    name = struct.unpack_from("<H", directory, 28)[0]
    struct.pack_into("<H", directory, 30, len(extra))
    struct.pack_into("<L", directory, 42, 0xFFFF_FFFF)
    directory[46 + name : 46 + name] = extra
    end_64 = end_64.replace(struct.pack("<Q", size), struct.pack("<Q", len(directory)))
    locator = struct.pack("<4sLQL", b"PK\x06\x07", disk, at + len(extra), disk + 1)
    paths = written(tmp_path, [*pieces[:-1], last[:offset] + bytes(directory) + end_64 + locator + end])
    with SplitZip(paths) as stream, zipfile.ZipFile(stream) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == MEMBERS
