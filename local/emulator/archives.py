"""Functions' code and layers unpacked once for all their processes.

MiniStack 1.5.33 unpacks the whole layer for every process that it starts: 0.8 s of a processor each, in the process
that answers all calls. In Lambda too, the environments of a function read the same files, and cannot write them.
"""

import hashlib
import shutil
import tempfile
import threading
import zipfile
from pathlib import Path
from types import SimpleNamespace

from ministack.core import lambda_runtime

_unpacking = threading.Lock()


class SharedArchive(zipfile.ZipFile):
    """An archive that is unpacked once by its content: each folder that it is unpacked to is a link to that one."""

    def namelist(self) -> list[str]:
        """Returns no names: MiniStack resolves the path of each, which `unpacked` leaves to the standard library."""
        return []

    def extractall(self, path: object = None, *_more: object) -> None:
        """Replaces an empty folder by a link to the unpacked content."""
        folder, content = Path(str(path)), unpacked(Path(str(self.filename)))
        folder.rmdir()
        folder.symlink_to(content)


def install() -> None:
    """Makes the processes of functions share their files."""
    lambda_runtime.zipfile = SimpleNamespace(
        ZipFile=SharedArchive, BadZipFile=zipfile.BadZipFile, LargeFileError=zipfile.LargeZipFile
    )


def unpacked(archive: Path) -> Path:
    """Returns the folder with an archive's content, which is in the folder for temporary files."""
    folder = Path(tempfile.gettempdir()) / "unpacked" / hashlib.sha256(archive.read_bytes()).hexdigest()
    with _unpacking:
        if not folder.exists():
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            with zipfile.ZipFile(archive) as opened:
                opened.extractall(partial)
            partial.rename(folder)
    return folder
