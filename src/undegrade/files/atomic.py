"""Files appear whole or not at all."""

import contextlib
import os
import platform
import secrets
import shutil
import zlib
from collections.abc import Generator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | Path) -> Generator[BinaryIO]:
    """A binary file that becomes `path` when the block ends well, and vanishes when it does not.

    It is written under a temporary name in the same folder, flushed to the disk and moved, so
    that a reader sees the old file or the new one. An exception, a full disk or Ctrl-C inside the
    block leaves what was there before.

    Raises:
        OSError: the file cannot be written; its message names the path and the reason.
    """
    path = Path(path)
    temporary = path.with_name(_temporary_name())
    try:
        _remove_abandoned(path.parent)
        with temporary.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def appearing_in(folder: str | Path) -> Generator[Path]:
    """A temporary folder whose files move into `folder` together when the block ends well.

    The folder is made where it does not exist. After an exception none of the files is there, nor
    the folder if it was made for them.

    Raises:
        OSError: something cannot be written; the message names the folder and the reason.
    """
    folder = Path(folder)
    made = not folder.exists()
    temporary = folder / _temporary_name()
    try:
        temporary.mkdir(parents=True)
        _remove_abandoned(folder)
        yield temporary
        for file in sorted(temporary.iterdir()):
            file.replace(folder / file.name)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(error.errno, f"cannot write to {folder}: {reason}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _temporary_name() -> str:
    """It says which process of which machine writes, so that a later one can tell what is left."""
    return f".{_MACHINE:08x}-{os.getpid()}-{secrets.token_hex(8)}.part"


_MACHINE = zlib.crc32(platform.node().encode())


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes of this machine were writing when they were killed."""
    for path in folder.glob(f".{_MACHINE:08x}-*-*.part"):
        process = path.name.split("-")[1]
        if not process.isdecimal() or _runs(int(process)):
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    if os.name != "posix":  # signal 0 is no question there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
