"""What obstore raises, as StoreError: what happened, and which option or field mends it. Pure.

obstore has a handful of exception types and no codes; the rest stands in the text: first a sentence, with the answer of
the server where there was one, then the Rust error that it came from, as `Debug source`. Neither is shown as it is,
since both hold request URLs, which may carry a signature.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Literal

from obstore import exceptions

from redstart.artifacts.stores.errors import Reason, StoreError
from redstart.artifacts.stores.options import Kind
from redstart.artifacts.stores.secrets import CA, Secret

Done = Literal["read", "written", "created"]
"""What was to be done; `created`: written only where there is nothing."""

_ANSWER = re.compile(r"non-2xx status code: (\d{3}) ?([^:\n]*)(.*?)(?:\n\s*\nDebug source|\Z)", re.DOTALL)
_CODE = re.compile(r"<Code>([^<]{1,80})</Code>")
_MESSAGE = re.compile(r"<Message>([^<]*)</Message>|\"message\":\s*\"([^\"]*)\"")
_EXPECTED_REGION = re.compile(r"expecting '([a-z0-9-]+)'|<Region>([a-z0-9-]+)</Region>")
_CERTIFICATE = re.compile(r"InvalidCertificate\(\s*\"?(\w+)")
_ADDRESS = re.compile(r"https?://[^\s?#'\",]+")
_SPOKEN = {
    "UnknownIssuer": "the authority that issued it is not known here",
    "NotValidForName": "it was issued for another name",
    "NotValidForNameContext": "it was issued for another name",
    "Expired": "it has expired",
    "ExpiredContext": "it has expired",
    "NotValidYet": "it is not valid yet",
    "NotValidYetContext": "it is not valid yet",
    "CaUsedAsEndEntity": "it is the certificate of an authority",
}
_METADATA = ("169.254.169.254", "169.254.170.2", "metadata.google.internal", "TokenRequest", "/token request")
_REGION_CODES = ("PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException")
_NO_PLACE = ("NoSuchBucket", "ContainerNotFound", "The specified bucket does not exist")
_FULL_CODES = ("InsufficientStorage", "QuotaExceeded", "XMinioStorageFull", "AccountQuotaExceeded")
_DENIED_CODES = {
    "InvalidAccessKeyId": "the store does not know this AWS_ACCESS_KEY_ID; mend it",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not fit AWS_ACCESS_KEY_ID; mend it",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired; renew it with its keys",
    "InvalidToken": "AWS_SESSION_TOKEN is not valid; mend it, or remove it where the keys need none",
    "RequestTimeTooSkewed": "the clocks of node and store differ; set them",
}
_UNCONDITIONAL_CODES = ("NotImplemented", "InvalidArgument", "InvalidRequest", "UnsupportedHeader")
_AT_ONCE_CODES = ("ConditionalRequestConflict", "OperationAborted")
_THROTTLED_CODES = ("SlowDown", "ServerBusy", "TooManyRequests", "RequestLimitExceeded")


@dataclass(frozen=True)
class Context:
    """What was asked of which store."""

    uri: str
    done: Done
    kind: Kind | None = None
    """None: a volume or a ConfigMap."""
    place: str = ""
    secret: Secret = field(default_factory=Secret)
    options: Mapping[str, str] | None = None


def panicked(error: BaseException) -> bool:
    """Whether a library in Rust ended on an assertion of its own; that is no Exception in Python."""
    return type(error).__name__ == "PanicException"


def store_error(error: BaseException, context: Context) -> StoreError:
    """The error to raise in place of what obstore raised."""
    found = _of_volume(error, context) if context.kind is None else _of_store(error, context, context.kind)
    return StoreError(found[0], _without(_secrets(context), f"{context.uri}: {found[1]}"))


def _of_volume(error: BaseException, context: Context) -> tuple[Reason, str]:
    detail = str(error)
    text = _first_line(detail)
    if "is directory" in detail or "os error 21" in detail:
        return "BadLocation", "this is a folder; name a file in it, or several with *"
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
        return "NotFound", f"there is no such file: {text}"
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return "AlreadyExists", "it is already there"
    if "os error 28" in detail or "os error 122" in detail or "StorageFull" in detail:
        return "DiskFull", "no space left on the volume"
    if isinstance(error, PermissionError) or "os error 13" in detail or "os error 30" in detail:
        return "StoreDenied", f"the volume cannot be {_past(context.done)}: {text}"
    if isinstance(error, ValueError | exceptions.InvalidPathError | exceptions.NotSupportedError):
        return "BadLocation", text
    if panicked(error):
        return "BadLocation", f"the library that reads volumes cannot work with it: {text}"
    return "StoreUnreachable", text


def _of_store(error: BaseException, context: Context, kind: Kind) -> tuple[Reason, str]:
    detail = str(error)
    if panicked(error):
        return "BadLocation", (
            f"the library that speaks to {kind.title} cannot work with these options: {_first_line(detail)}; look at "
            f"{' and '.join(kind.endpoints[:1])} and the other keys of {context.secret}"
        )
    answer = _ANSWER.search(detail)
    if not answer:
        return _without_answer(error, detail, context, kind)
    status, body = int(answer.group(1)), answer.group(3)
    code = (_CODE.search(body) or [None, ""])[1] or ""
    said = _said(status, answer.group(2), code, body)
    if any(address in detail for address in _METADATA):
        return "StoreDenied", _no_credentials(context, kind)
    if code in _REGION_CODES or (region := _EXPECTED_REGION.search(body)):
        region = _EXPECTED_REGION.search(body)
        right = f": it is {region[1] or region[2]}" if region else ""
        return (
            "BadLocation",
            f"AWS_REGION is not the bucket's region{right}; set it in {context.secret} ({said})",
        )
    if status == 404 and any(word in body for word in _NO_PLACE):
        return "NotFound", f"there is no {kind.place} {context.place}; make it, or mend the URI"
    if isinstance(error, FileNotFoundError | exceptions.NotFoundError):
        return "NotFound", f"there is no such file in the {kind.place}; mend the URI ({said})"
    if code in _AT_ONCE_CODES:
        return "StoreUnreachable", f"somebody else writes the same at this moment: {said}"
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return "AlreadyExists", "it is already there"
    return _by_code(status, code, said, context, kind)


def _by_code(status: int, code: str, said: str, context: Context, kind: Kind) -> tuple[Reason, str]:
    if code in _FULL_CODES or status == 507:
        return "DiskFull", f"the store is full ({said})"
    if code in _DENIED_CODES or status in (401, 403) or "Authentication" in code:
        mend = _DENIED_CODES.get(code) or (
            f"may these credentials {'read' if context.done == 'read' else 'write'} the {kind.place}? Mend "
            f"{kind.credentials}"
        )
        return "StoreDenied", f"access denied: {said}; {mend} in {context.secret}"
    if context.done == "created" and (status == 501 or code in _UNCONDITIONAL_CODES):
        return "StoreUnsupported", (
            f"the store does not take conditional writes (If-None-Match), by which versions get their numbers: {said}; "
            "use another store, or a newer version of it"
        )
    if status == 429 or code in _THROTTLED_CODES:
        return "StoreUnreachable", f"the store asks for fewer requests: {said}"
    if status >= 500 or status == 408:
        return "StoreUnreachable", f"the store answers {said}"
    return "BadLocation", f"the store refuses the request: {said}; look at {kind.endpoints[0]} and the URI"


def _without_answer(error: BaseException, detail: str, context: Context, kind: Kind) -> tuple[Reason, str]:
    """Where the request did not get as far as an answer of an object store."""
    endpoint = kind.endpoints[0]
    at = _address(detail)
    if certificate := _CERTIFICATE.search(detail):
        return "CertificateUntrusted", untrusted(
            at, _SPOKEN.get(certificate[1], certificate[1]), context.secret, known=certificate[1] in _SPOKEN
        )
    if "BareRedirect" in detail:
        return (
            "BadLocation",
            f"the store answers that the bucket is in another region; set AWS_REGION in {context.secret}",
        )
    if "BadScheme" in detail:
        return (
            "BadLocation",
            f"{at} is not https; set {kind.allow_http} to true in {context.secret} where that is meant",
        )
    if isinstance(error, exceptions.AlreadyExistsError | exceptions.PreconditionError):
        return "AlreadyExists", "it is already there"
    if "MissingContentLength" in detail or "MissingEtag" in detail or "MissingLastModified" in detail:
        return (
            "BadLocation",
            f"{at} does not answer as {kind.title} does; look at {endpoint} in {context.secret}",
        )
    if "InvalidContentType" in detail:
        return "BadLocation", f"{at} does not speak TLS; begin {endpoint} with http:// in {context.secret}"
    if any(address in detail for address in _METADATA):
        return "StoreDenied", _no_credentials(context, kind)
    if isinstance(error, exceptions.UnknownConfigurationKeyError):
        return "StoreDenied", f"{context.secret} has an unknown option: {_first_line(detail)}"
    if "MissingAccount" in detail:
        return "StoreDenied", _no_credentials(context, kind)
    if "Config error" in detail or "redential" in detail or "InvalidAccessKey" in detail:
        return "StoreDenied", f"{context.secret} has an option that is not valid: {_first_line(detail)}"
    if isinstance(error, ValueError | exceptions.InvalidPathError | exceptions.NotSupportedError):
        return "BadLocation", _first_line(detail)
    return "StoreUnreachable", f"{_unreachable(at, detail)}; is {endpoint} right, and the store up?"


def untrusted(at: str, why: str, secret: Secret, *, known: bool = True) -> str:
    """The sentence about a certificate that is not trusted."""
    mend = (
        f"the certificates under {CA} of {secret} are of another authority, or do not cover it"
        if CA in secret.content
        else f"put the certificate of its authority (PEM) under the key {CA} of {secret}"
    )
    if known and "authority that issued" not in why:
        mend = "mend the server's certificate, or the host's name"
    return f"the certificate of {at} is not trusted: {why}; {mend}"


def _unreachable(at: str, detail: str) -> str:
    if "dns error" in detail:
        return f"the name in {at} cannot be resolved"
    if "ConnectionRefused" in detail:
        return f"{at} refuses the connection"
    if "Timeout" in detail or "TimedOut" in detail:
        return f"{at} does not answer in time"
    if "Body" in detail or "ConnectionReset" in detail or "IncompleteMessage" in detail:
        return f"{at} ended the connection in mid-answer"
    return f"{at} cannot be reached: {_ADDRESS.sub('', _first_line(detail)).strip()}"


def _no_credentials(context: Context, kind: Kind) -> str:
    held = [key for key in context.secret.keys if not key.upper().startswith(kind.prefix) and key != CA]
    unused = f" (its keys {', '.join(held)} are no options of {kind.title})" if held else ""
    return (
        f"there are no credentials: set {kind.credentials} in {context.secret}{unused}, or {kind.public} to true where "
        f"anybody may read the {kind.place}"
    )


def _said(status: int, phrase: str, code: str, body: str) -> str:
    """The answer in a few words: what a server says of a wrong signature is longer, and holds what was signed."""
    message = next((part for match in _MESSAGE.finditer(body) for part in match.groups() if part), "")
    message = " ".join(message.split())[:200]
    return ": ".join(part for part in (f"{status} {code or phrase}".strip(), message) if part)


def _address(detail: str) -> str:
    match = _ADDRESS.search(detail)
    return "/".join(match[0].split("/")[:3]) if match else "the store"


def _first_line(detail: str) -> str:
    line = detail.split("\n", 1)[0].strip()
    return re.sub(r"\?\S*", "?...", line)


def _past(done: Done) -> str:
    return "read" if done == "read" else "written"


def _secrets(context: Context) -> Collection[str]:
    """The values that no message may show: all of a Secret's but those that say where the store is."""
    told = ("ENDPOINT", "BASE_URL", "REGION", "ALLOW", "SKIP", "ACCOUNT_NAME", "REQUEST")
    return [
        value
        for option, value in (context.options or {}).items()
        if len(value) > 3 and not any(word in option.upper() for word in told)
    ]


def _without(secrets: Collection[str], text: str) -> str:
    for value in secrets:
        text = text.replace(value, "...")
    return text
