import os
import stat
import zipfile
import zlib
from pathlib import Path

import pytest

from features.errors import FetchError
from features.fetch import unpack as module
from features.fetch.unpack import unpack
from tests.fixtures.zips import cut, zipped


def archive_of(folder: Path, members: dict[str | zipfile.ZipInfo, bytes]) -> Path:
    path = folder / "a.zip"
    path.write_bytes(zipped(members))
    return path


def refused(path: Path, folder: Path) -> str:
    with pytest.raises(FetchError) as caught:
        unpack([path], folder / "new", lambda _: None)
    assert not [*folder.glob("new/**/*")], "nothing is written"
    return str(caught.value)


def files_in(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_one_folder_of_an_archive_is_left_out(tmp_path: Path) -> None:
    asked: list[int] = []
    path = archive_of(tmp_path, {"top/": b"", "top/a.wav": b"abc", "top/b/c.wav": b"de", "__MACOSX/top/._a": b"x"})
    unpack([path], tmp_path / "new", asked.append)
    assert files_in(tmp_path / "new") == {"a.wav": b"abc", "b/c.wav": b"de"}
    assert asked == [5]


def test_an_archive_without_one_folder_stays_as_it_is(tmp_path: Path) -> None:
    unpack([archive_of(tmp_path, {"a/x": b"1", "b": b"2"})], tmp_path / "new", lambda _: None)
    assert files_in(tmp_path / "new") == {"a/x": b"1", "b": b"2"}


def test_a_split_archive(tmp_path: Path) -> None:
    content = {f"top/{number}.wav": os.urandom(3_000) for number in range(4)}
    paths = [tmp_path / name for name in ("a.z01", "a.z02", "a.zip")]
    for path, piece in zip(paths, cut(zipped(dict(content)), 5_000), strict=True):
        path.write_bytes(piece)
    unpack(paths, tmp_path / "new", lambda _: None)
    assert files_in(tmp_path / "new") == {name.removeprefix("top/"): data for name, data in content.items()}


def test_an_interrupted_call_is_continued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = archive_of(tmp_path, {f"top/{name}": name.encode() * 9 for name in "abc"})
    real = module._write

    def killed(*given: object) -> None:
        if str(given[2]).endswith("c"):
            raise KeyboardInterrupt
        real(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_write", killed)
    with pytest.raises(KeyboardInterrupt):
        unpack([path], tmp_path / "new", lambda _: None)
    monkeypatch.undo()
    before = (tmp_path / "new" / "a").stat().st_mtime_ns
    asked: list[int] = []
    unpack([path], tmp_path / "new", asked.append)
    assert asked == [9]
    assert (tmp_path / "new" / "a").stat().st_mtime_ns == before
    assert files_in(tmp_path / "new") == {name: name.encode() * 9 for name in "abc"}


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("../out.wav", "leads out of the folder"),
        ("top/../../out.wav", "leads out of the folder"),
        ("/etc/out.wav", "leads out of the folder"),
        ("C:/out.wav", "leads out of the folder"),
        ("top\\..\\out.wav", "leads out of the folder"),
        ("top/./x.wav", "is no name of a file"),
        ("top//x.wav", "is no name of a file"),
        ("top/\x1b[2J.wav", "is no name of a file"),
        ("top/" + "x" * 201, "is no name of a file"),
    ],
)
def test_no_name_leaves_the_folder(name: str, fault: str, tmp_path: Path) -> None:
    sentence = refused(archive_of(tmp_path, {"top/a.wav": b"1", name: b"2"}), tmp_path)
    assert sentence.startswith("a.zip has a member '")
    assert sentence.endswith(f"which {fault}: it is not unpacked")
    assert sentence.isprintable()


@pytest.mark.parametrize(
    ("mode", "fault"),
    [(stat.S_IFLNK, "is a link"), (stat.S_IFIFO, "is no regular file"), (stat.S_IFCHR, "is no regular file")],
)
def test_links_and_devices_are_refused(mode: int, fault: str, tmp_path: Path) -> None:
    link = zipfile.ZipInfo("top/link")
    link.create_system, link.external_attr = 3, (mode | 0o777) << 16
    sentence = refused(archive_of(tmp_path, {"top/a": b"1", link: b"/etc/passwd"}), tmp_path)
    assert sentence == f"a.zip has a member 'top/link', which {fault}: it is not unpacked"


@pytest.mark.parametrize("names", [("top/a", "top/A"), ("top/a", "top/a/b")])
def test_two_members_for_one_place_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    assert "has two members '" in refused(archive_of(tmp_path, {names[0]: b"1", names[1]: b"2"}), tmp_path)


def test_one_name_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"top/a": b"1", "top/b": b"2"}).replace(b"top/b", b"top/a"))
    assert refused(path, tmp_path) == "a.zip has two members of one name: it is not unpacked"


def test_a_bomb_is_refused(tmp_path: Path) -> None:
    path = archive_of(tmp_path, {"top/zeros": bytes(20_000_000)})
    n_bytes = path.stat().st_size
    assert refused(path, tmp_path) == (f"a.zip would grow from {n_bytes:,} to 20,000,000 bytes: it is not unpacked")


def test_a_bomb_that_lies_about_its_size_writes_no_more_than_it_says(tmp_path: Path) -> None:
    path = archive_of(tmp_path, {"top/zeros": bytes(5_000_000)})
    path.write_bytes(path.read_bytes().replace((5_000_000).to_bytes(4, "little"), (100).to_bytes(4, "little")))
    with pytest.raises(FetchError, match="its member top/zeros is damaged"):
        unpack([path], tmp_path / "new", lambda _: None)
    assert files_in(tmp_path / "new") == {}


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    """As in the bombs whose members overlap, each of which looks harmless."""
    path = archive_of(tmp_path, {f"top/{number:03}": zlib.compress(os.urandom(2_000)) for number in range(50)})
    content = path.read_bytes()
    at = content.index(b"PK\x01\x02")
    first = content[at : content.index(b"PK\x01\x02", at + 4)]
    entries = b"".join(first.replace(b"top/000", b"top/%03d" % number) for number in range(50))
    end = content[content.rindex(b"PK\x05\x06") :]
    path.write_bytes(content[: content.index(b"PK\x03\x04", 4)] + entries + end)
    with pytest.raises(FetchError):
        unpack([path], tmp_path / "new", lambda _: None)
    assert files_in(tmp_path / "new") == {}


def test_too_many_members_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_MEMBERS", 2)
    path = archive_of(tmp_path, dict.fromkeys("abc", b""))
    assert refused(path, tmp_path) == "a.zip has 3 members, more than 2: it is not unpacked"


def test_encrypted_and_oddly_packed_members_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(zipped({"top/a": b"1" * 100}, zipfile.ZIP_BZIP2))
    assert refused(path, tmp_path).endswith("which is packed in an unknown way (12): it is not unpacked")
    content = bytearray(zipped({"top/a": b"1"}))
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    assert refused(path, tmp_path).endswith("which is encrypted: it is not unpacked")


def test_damage_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    content = os.urandom(5_000)
    whole = zipped({"top/a": b"ok", "top/b": content}, zipfile.ZIP_STORED)
    path.write_bytes(whole.replace(content[100:110], bytes(10)))
    with pytest.raises(FetchError, match=r"^a.zip: its member top/b is damaged \(Bad CRC-32 for file 'top/b'\)$"):
        unpack([path], tmp_path / "new", lambda _: None)
    assert files_in(tmp_path / "new") == {"a": b"ok"}
    path.write_bytes(whole[:3_000])
    with pytest.raises(FetchError, match=r"^a.zip is no whole zip archive \(File is not a zip file\)$"):
        unpack([path], tmp_path / "new", lambda _: None)
