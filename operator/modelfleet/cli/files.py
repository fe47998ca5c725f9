"""Text of files, folders and standard input. What cannot be read is a mistake, not an exception."""

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from modelfleet.cli.mistakes import Mistake

SUFFIXES = (".yaml", ".yml", ".json")

MOST_BYTES = 16 << 20
"""Of one file. An API server takes objects of 1.5 MiB."""


@dataclass(frozen=True, slots=True)
class Text:
    """A file's name, as it was given, and what is in it."""

    file: str
    content: str


def texts(path: str) -> Iterator[Text | Mistake]:
    """Yield the text of a file, of every file in a folder, or of standard input for `-`."""
    if path == "-":
        yield _decoded("<stdin>", sys.stdin.buffer.read(MOST_BYTES + 1))
        return
    if not os.path.isdir(path):  # Path.is_dir raises where a name is too long
        yield _text(Path(path))
        return
    found = list(_files(path))
    yield from (_text(one) if isinstance(one, Path) else one for one in found)
    if not found:
        yield Mistake(path, f"no file in this folder ends in {', '.join(SUFFIXES)}")


def _files(folder: str) -> Iterator[Path | Mistake]:
    """Yield the folder's files by name, those of its folders included, hidden ones not."""
    unreadable: list[OSError] = []
    for where, folders, files in os.walk(folder, onerror=unreadable.append):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        paths = (Path(where, name) for name in sorted(files) if name.endswith(SUFFIXES))
        # A link into nowhere is a mistake; a pipe would be waited for.
        yield from (path for path in paths if path.is_file() or not path.exists())
    yield from (Mistake(str(error.filename), str(error.strerror)) for error in unreadable)


def _text(file: Path) -> Text | Mistake:
    try:
        with file.open("rb") as opened:
            return _decoded(str(file), _bounded(opened))
    except OSError as error:
        return Mistake(str(file), error.strerror or "cannot be read")
    except ValueError as error:  # a name with a NUL
        return Mistake(str(file), str(error))


def _bounded(opened: BinaryIO) -> bytes:
    return opened.read(MOST_BYTES + 1)


def _decoded(file: str, data: bytes) -> Text | Mistake:
    if len(data) > MOST_BYTES:
        return Mistake(file, f"larger than {MOST_BYTES >> 20} MiB")
    try:
        return Text(file, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        return Mistake(file, f"not UTF-8 text ({error.reason} at byte {error.start})")
