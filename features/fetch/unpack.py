"""One zip archive into a new folder. All members are judged before the first byte is written.

An archive comes from elsewhere. A member may name a place outside the folder, be a link, or expand to more than the
disk holds; such an archive is refused as a whole.
"""

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath

from features.errors import FetchError
from features.fetch.split_zip import SplitZip
from features.words import short

__all__ = ["unpack"]

MAX_MEMBERS = 200_000
MAX_GROWTH = 25
"""Unpacked bytes per packed byte; audio grows by less than 3, lists of clips by 10."""
FREE_BYTES = 10_000_000
"""Unpacked bytes that are not asked about."""
LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, less a suffix of ours."""
IGNORED = "__MACOSX"
"""Folder in which macOS keeps what other systems don't know."""


def unpack(parts: Sequence[Path], folder: Path, require_space: Callable[[int], None]) -> None:
    """Unpack an archive into a folder; if all of it lies in one folder, without that folder.

    What an earlier call has unpacked into the folder stays and is not unpacked again.

    Args:
        parts: the archive's files in order; several are a split archive.
        folder: where to.
        require_space: called with the number of bytes that will be written.

    Raises:
        FetchError: the archive is damaged, or can't be trusted.
    """
    about = parts[-1].name
    with _opened(parts) as archive:
        members = _judged(archive, about, sum(part.stat().st_size for part in parts))
        missing = {path: member for path, member in members.items() if not (folder / path).exists()}
        require_space(sum(member.file_size for member in missing.values()))
        folder.mkdir(parents=True, exist_ok=True)
        for path, member in missing.items():
            _write(archive, member, folder / path, about)


@contextmanager
def _opened(parts: Sequence[Path]) -> Iterator[zipfile.ZipFile]:
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(SplitZip(parts)) if len(parts) > 1 else parts[0]
            archive = stack.enter_context(zipfile.ZipFile(stream))
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise FetchError(f"{parts[-1].name} is no whole zip archive ({short(str(error))})") from None
        yield archive


def _judged(archive: zipfile.ZipFile, about: str, n_bytes: int) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """The files of an archive by their path in the new folder."""
    members = [m for m in archive.infolist() if not m.orig_filename.startswith(f"{IGNORED}/")]
    if len(members) > MAX_MEMBERS:
        raise FetchError(f"{about} has {len(members):,} members, more than {MAX_MEMBERS:,}: it is not unpacked")
    for member in members:
        if fault := _fault(member):
            raise FetchError(f"{about} has a member {short(repr(member.orig_filename), 80)}, which {fault}: {_REFUSED}")
    packed, size = sum(m.compress_size for m in members), sum(m.file_size for m in members)
    if packed > n_bytes or size > max(FREE_BYTES, MAX_GROWTH * n_bytes):
        raise FetchError(f"{about} would grow from {n_bytes:,} to {size:,} bytes: {_REFUSED}")
    files = {PurePosixPath(m.orig_filename): m for m in members if not m.is_dir()}
    tops = {path.parts[0] for path in files}
    inside = len(tops) == 1 and all(len(path.parts) > 1 for path in files)
    files = {PurePosixPath(*path.parts[1:]) if inside else path: member for path, member in files.items()}
    seen: set[str] = {str(parent).lower() for path in files for parent in path.parents}
    for path in files:
        if str(path).lower() in seen:
            raise FetchError(f"{about} has two members {short(repr(str(path)), 80)}: {_REFUSED}")
        seen.add(str(path).lower())
    if len(files) < sum(not m.is_dir() for m in members):
        raise FetchError(f"{about} has two members of one name: {_REFUSED}")
    return files


_REFUSED = "it is not unpacked"


def _fault(member: zipfile.ZipInfo) -> str | None:
    """Why a member can't be trusted."""
    name = member.orig_filename
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or "\\" in name or ":" in parts[0] or ".." in parts:
        return "leads out of the folder"
    if (
        not name.isprintable()
        or "" in parts
        or "." in parts
        or max(len(part.encode()) for part in parts) > LONGEST_NAME
    ):
        return "is no name of a file"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link" if kind == stat.S_IFLNK else "is no regular file"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed in an unknown way ({member.compress_type})"
    return None


def _write(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, about: str) -> None:
    """Write a member under a name of its own and rename it; its CRC-32 is checked."""
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.tmp")
    try:
        with archive.open(member) as source, temporary.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        if temporary.stat().st_size != member.file_size:
            raise EOFError("it ends early")
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise FetchError(f"{about}: its member {short(member.filename, 80)} is damaged ({short(str(error))})") from None
    else:
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)
