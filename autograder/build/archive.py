"""Zip archives that are the same, byte by byte, whenever and wherever they are made."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path

MOMENT = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can name
LEVEL = 9


def write_zip(path: Path, files: Mapping[str, bytes], executable: Collection[str] = ()) -> None:
    """Writes `files` (contents by path inside) to the zip at `path`, sorted, in one step.

    executable: the paths whose files may be run.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream, zipfile.ZipFile(stream, "w") as archive:
            for name in sorted(files):
                info = zipfile.ZipInfo(name, MOMENT)
                info.create_system = 3  # Unix, wherever it is made: the modes below count
                info.external_attr = (0o100755 if name in executable else 0o100644) << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, files[name], compresslevel=LEVEL)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
