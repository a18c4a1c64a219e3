"""The keys of a `secretRef`, one file each."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from redstart.artifacts.stores.errors import StoreError

CA = "ca.crt"
"""The key that holds certificates of authorities to trust, as in a Secret of cert-manager."""


@dataclass(frozen=True)
class Secret:
    """The content of each key; without a name, no Secret was named."""

    name: str | None = None
    content: dict[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def keys(self) -> list[str]:
        """The keys' names, in order."""
        return sorted(self.content)

    def text(self, key: str) -> str:
        """The value without blanks and line breaks around it, which editors and `base64` leave behind.

        Raises:
            StoreError: StoreDenied, when it is no text.
        """
        try:
            return self.content[key].decode("utf-8-sig").strip()
        except UnicodeDecodeError:
            raise self.fault(f"{key} is no text") from None

    def line(self, key: str) -> str:
        """The value, which is one line.

        Raises:
            StoreError: StoreDenied, when it is no text or has a control character.
        """
        text = self.text(key)
        if not text.isprintable():
            raise self.fault(
                f"the value of {key} holds a line break or another control character; write it on one line"
            )
        return text

    def authorities(self) -> str | None:
        """The certificates of `ca.crt`, PEM.

        Raises:
            StoreError: StoreDenied, when there are none in it.
        """
        if CA not in self.content:
            return None
        text = self.text(CA)
        if "-----BEGIN CERTIFICATE-----" not in text:
            raise self.fault(
                f"{CA} holds no certificate: it must begin with -----BEGIN CERTIFICATE----- (PEM)"
            )
        return text + "\n"

    def fault(self, problem: str) -> StoreError:
        """What is wrong with the Secret."""
        return StoreError("StoreDenied", f"Secret {self.name} of secretRef: {problem}")

    def __str__(self) -> str:
        return f"the Secret {self.name} of secretRef" if self.name else "a Secret, named as secretRef"


def read(folder: Path) -> Secret:
    """The Secret that is mounted at a folder of its name.

    Raises:
        StoreError: NotFound, when it is not mounted.
    """
    if not folder.is_dir():
        raise StoreError("NotFound", f"secret {folder.name} is not mounted at {folder}")
    # A mounted Secret also holds ..data and a dated folder, the targets of the keys' symbolic links.
    files = (file for file in folder.iterdir() if not file.name.startswith("..") and file.is_file())
    return Secret(folder.name, {file.name: file.read_bytes() for file in files})
