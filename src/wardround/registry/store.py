"""Files by the hash of their content: `sha256/ab/abcd….safetensors` under one folder.

A file is written whole or not at all and is never changed. Its name says what it must contain, so a file that was altered,
cut short or swapped is found out when it is read.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from wardround.values.canonical import sha256_hex
from wardround.values.durable import write_atomic
from wardround.values.errors import RegistryError, RunError

_HASH = re.compile(r"[0-9a-f]{64}")
_SUFFIX = re.compile(r"(\.[a-z0-9]{1,16})?")


@dataclass(frozen=True)
class ModelStore:
    """A folder of files named by their SHA-256. Two processes may put the same content at the same time."""

    folder: Path

    def path(self, sha256: str, suffix: str) -> Path:
        """Where the file with that content lies, or would lie. `suffix` is lower-case, with its dot, or empty."""
        if not _HASH.fullmatch(sha256) or not _SUFFIX.fullmatch(suffix):
            raise RegistryError("This is no name of a stored file", found=f"{sha256[:80]}{suffix[:20]}")
        return self.folder / "sha256" / sha256[:2] / f"{sha256}{suffix}"

    def put(self, data: bytes, suffix: str, *, private: bool = False) -> str:
        """Keep `data`; returns its hash. Content that is already there, whole, is not written again.

        private: only this user may read the file."""
        sha256 = sha256_hex(data)
        path = self.path(sha256, suffix)
        try:
            if not (path.is_file() and _hash_of(path) == sha256):
                path.parent.mkdir(parents=True, exist_ok=True)  # by the umask: files of others lie there too
                write_atomic(path, data, private=private)
        except (OSError, RunError) as error:
            raise _unusable(self.folder, error) from error
        return sha256

    def read(self, sha256: str, suffix: str) -> bytes:
        """The content. Raises RegistryError where the file is gone or its content no longer has that hash."""
        path = self.path(sha256, suffix)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise RegistryError(
                f"The file {path.name} is not in the store",
                expected=f"a file under {self.folder}",
                hint="restore it from a backup, or register the run again from its folder",
            ) from error
        except OSError as error:
            raise _unusable(self.folder, error) from error
        if sha256_hex(data) != sha256:
            raise RegistryError(
                f"The stored file {path} has been changed since it was registered",
                expected=f"content with SHA-256 {sha256}",
                found=sha256_hex(data),
                hint="do not use it; restore it from a backup, or register the run again from its folder",
            )
        return data


def _hash_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _unusable(folder: Path, error: Exception) -> RegistryError:
    reason = error.found if isinstance(error, RunError) else getattr(error, "strerror", None)
    return RegistryError(
        f"The model store {folder} cannot be used",
        found=reason or type(error).__name__,
        hint="check that the folder exists, is yours to write and has free space, or set WARDROUND_HOME to another",
    )
