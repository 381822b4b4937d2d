"""Files appear whole or not at all."""

import contextlib
import os
import secrets
import shutil
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
    temporary = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
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
    temporary = folder / f".{secrets.token_hex(8)}.part"
    try:
        temporary.mkdir(parents=True)
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
