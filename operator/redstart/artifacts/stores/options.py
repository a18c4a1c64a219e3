"""The options of object stores: from the keys of a Secret to what obstore is told. Pure, but for the environment that
endpoints may come from.

An option is a key with the store's prefix. Empty ones are as if they were not there. A key without the prefix is none:
Secrets also hold certificates, notes and other tools' keys. One with it that obstore does not know is most likely
misspelled, and refused.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from redstart.artifacts.stores.errors import StoreError
from redstart.artifacts.stores.secrets import CA, Secret


@dataclass(frozen=True)
class Kind:
    """A kind of object store; option names as documented."""

    scheme: str
    title: str
    prefix: str
    place: str
    credentials: str
    """The options that say who asks, in words."""
    public: str
    """The option for a place that anybody may read."""
    endpoints: tuple[str, ...]
    common: tuple[str, ...]
    """The options that a misspelled one may be meant for."""
    lines: tuple[str, ...] = ()
    """Options that may have several lines."""
    places: tuple[str, ...] = ()
    """Options that the URI says already."""

    @property
    def allow_http(self) -> str:
        return f"{self.prefix}ALLOW_HTTP"


KINDS = {
    kind.scheme: kind
    for kind in (
        Kind(
            scheme="s3",
            title="S3",
            prefix="AWS_",
            place="bucket",
            credentials="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            public="AWS_SKIP_SIGNATURE",
            endpoints=("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT"),
            common=(
                "AWS_ACCESS_KEY_ID",
                "AWS_SECRET_ACCESS_KEY",
                "AWS_SESSION_TOKEN",
                "AWS_REGION",
                "AWS_DEFAULT_REGION",
                "AWS_ENDPOINT_URL",
                "AWS_ALLOW_HTTP",
                "AWS_VIRTUAL_HOSTED_STYLE_REQUEST",
                "AWS_SKIP_SIGNATURE",
            ),
            places=("AWS_BUCKET", "AWS_BUCKET_NAME"),
        ),
        Kind(
            scheme="gs",
            title="Google Cloud Storage",
            prefix="GOOGLE_",
            place="bucket",
            credentials="GOOGLE_SERVICE_ACCOUNT_KEY",
            public="GOOGLE_SKIP_SIGNATURE",
            endpoints=("GOOGLE_BASE_URL",),
            common=("GOOGLE_SERVICE_ACCOUNT_KEY", "GOOGLE_BASE_URL", "GOOGLE_SKIP_SIGNATURE"),
            lines=("GOOGLE_SERVICE_ACCOUNT_KEY",),
            places=("GOOGLE_BUCKET", "GOOGLE_BUCKET_NAME"),
        ),
        Kind(
            scheme="az",
            title="Azure Blob Storage",
            prefix="AZURE_",
            place="container",
            credentials="AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_KEY",
            public="AZURE_SKIP_SIGNATURE",
            endpoints=("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
            common=(
                "AZURE_STORAGE_ACCOUNT_NAME",
                "AZURE_STORAGE_ACCOUNT_KEY",
                "AZURE_STORAGE_SAS_KEY",
                "AZURE_STORAGE_CLIENT_ID",
                "AZURE_STORAGE_CLIENT_SECRET",
                "AZURE_STORAGE_TENANT_ID",
                "AZURE_STORAGE_ENDPOINT",
                "AZURE_ALLOW_HTTP",
                "AZURE_SKIP_SIGNATURE",
            ),
            places=("AZURE_CONTAINER_NAME",),
        ),
    )
}

YES = ("true", "1", "yes", "on", "y", "t")


def options(
    kind: Kind,
    place: str,
    secret: Secret,
    known: Callable[[str], bool],
    environment: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """What obstore is told, names in small letters.

    Raises:
        StoreError: StoreDenied (an option), BadLocation (an endpoint).
    """
    found = {option: value for option, value in _of_secret(kind, secret, known) if value}
    if secret.name is not None and not found and CA not in secret.content:
        held = ", ".join(secret.keys) or "no keys"
        raise secret.fault(f"no key is an option of {kind.title} (it has {held}); use {kind.credentials}")
    # The library reads these from the environment too, and ends the process where one has another form.
    for option in kind.endpoints:
        if option not in found and environment.get(option, "").strip():
            found[option] = environment[option].strip()
    for option in kind.endpoints:
        if option in found:
            found[option] = _endpoint(kind, place, option, found)
    return {option.lower(): value for option, value in found.items()}


def _of_secret(kind: Kind, secret: Secret, known: Callable[[str], bool]) -> list[tuple[str, str]]:
    found = []
    for key in secret.keys:
        option = key.upper()
        if not option.startswith(kind.prefix) or option in kind.places:
            continue
        if not known(option):
            near = difflib.get_close_matches(option, kind.common, n=1)
            meant = f"did you mean {near[0]}? Otherwise remove it" if near else "remove it"
            if option == "AWS_CA_BUNDLE":
                meant = f"put the certificates themselves under the key {CA}"
            raise secret.fault(f"{key} is an unknown option; {meant}")
        found.append((option, secret.text(key) if option in kind.lines else secret.line(key)))
    return found


def _endpoint(kind: Kind, place: str, option: str, found: dict[str, str]) -> str:
    """The endpoint without slashes at its end; sets the option that lets it be http, which its writer wants."""
    value = found[option]
    try:
        parts = urlsplit(value)
        right = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        right = False
    if (
        not right
        or not value.isprintable()
        or " " in value
        or "@" in parts.netloc
        or parts.query
        or parts.fragment
    ):
        seen = "" if "@" in value else f", not {value!r}"
        raise StoreError(
            "BadLocation",
            f"{option} must have the form http://host:port or https://host{seen}: mend it in the Secret of secretRef",
        )
    if parts.scheme == "http" and found.setdefault(kind.allow_http, "true").lower() not in YES:
        raise StoreError(
            "BadLocation",
            f"{option} begins with http:// and {kind.allow_http} is {found[kind.allow_http]}: change one",
        )
    value = value.rstrip("/")
    if kind.scheme != "s3":
        return value
    virtual = found.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "false").lower() in YES
    has_place = parts.netloc.startswith(f"{place}.")
    if has_place and not virtual:
        raise StoreError(
            "BadLocation",
            f"{option} begins with the bucket's name, which the URI says already: write it without {place}., or set "
            "AWS_VIRTUAL_HOSTED_STYLE_REQUEST to true",
        )
    if parts.path.strip("/") == place and not virtual:
        raise StoreError(
            "BadLocation",
            f"{option} ends in the bucket's name, which the URI says already: write it without /{place}",
        )
    return value if has_place or not virtual else value.replace("://", f"://{place}.", 1)
