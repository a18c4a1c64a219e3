"""Files that a web server has: https:// and http://. GET decides; nothing else is asked.

A Secret may hold TOKEN, sent as `Authorization: Bearer`, or USERNAME and PASSWORD, sent as Basic, and ca.crt. They are
sent to the host of the URI only, never to where it redirects, and never over http.
"""

from __future__ import annotations

import base64
import logging
import re
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from urllib.request import getproxies

import httpx

from redstart.artifacts.stores.errors import Reason, StoreError
from redstart.artifacts.stores.failures import untrusted
from redstart.artifacts.stores.opened import Opened
from redstart.artifacts.stores.secrets import CA, Secret
from redstart.artifacts.stores.uris import Uri, shown

# It logs every URL, and a query may be a secret.
logging.getLogger("httpx").setLevel(logging.WARNING)

_CHUNK = 4 * 1024 * 1024
_TIMEOUT = httpx.Timeout(30, connect=5)
_REDIRECTS = 10
_ATTEMPTS = 6
_LONGEST_WAIT = 20.0  # seconds between two attempts, also where the server asks for more
_AUTH_KEYS = ("TOKEN", "USERNAME", "PASSWORD")
_WORDS = 300  # bytes of an error's body that are read


@dataclass(frozen=True)
class Web:
    """One file of a web server. Every method raises StoreError."""

    uri: Uri
    secret: Secret = field(default_factory=Secret)
    attempts: int = _ATTEMPTS
    sleep: Callable[[float], None] = time.sleep

    @property
    def text(self) -> str:
        """The URI for messages."""
        return shown(self.uri.url)

    def check(self) -> None:
        """Raises: StoreError: BadLocation (there is no such host), StoreDenied (the Secret does not fit)."""
        try:
            httpx.URL(self.uri.url)
        except (httpx.InvalidURL, ValueError) as error:
            problem = f"{self.uri.place!r} is no host: use host or host:port"
            raise StoreError("BadLocation", f"{self.text}: {problem}", of_uri=True) from error
        self._authorization()
        self._context()

    def opened(self) -> Opened:
        """The file to read. What may pass is tried again until the first bytes are there."""
        headers = {"Accept": "*/*", "Accept-Encoding": "identity", **self._authorization()}
        try:
            client = httpx.Client(timeout=_TIMEOUT, verify=self._context())
        except (httpx.InvalidURL, ValueError) as error:
            raise self._error(
                "BadLocation",
                "a proxy must have the form http://host:port; mend HTTPS_PROXY or HTTP_PROXY of template.env",
            ) from error
        try:
            for attempt in range(1, self.attempts + 1):
                try:
                    response = self._answer(
                        client, client.build_request("GET", self.uri.url, headers=headers)
                    )
                    break
                except _PassingError as error:
                    if attempt == self.attempts:
                        raise StoreError("StoreUnreachable", str(error)) from error
                    self.sleep(error.wait if error.wait is not None else min(5.0, 0.2 * 2**attempt))
        except BaseException:
            client.close()
            raise
        return Opened(
            _disposition(response.headers.get("content-disposition")) or self.uri.name,
            response.headers.get("content-type", "").split(";")[0].strip().lower() or None,
            self._chunks(client, response),
        )

    def _answer(self, client: httpx.Client, request: httpx.Request) -> httpx.Response:
        """The answer with the file, behind as many redirects as there are."""
        for _ in range(_REDIRECTS):
            try:
                response = client.send(request, stream=True)
            except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as error:
                raise self._failed(error, request.url) from error
            if response.next_request is None:
                break
            response.close()
            # Another host gets no Authorization; what is encrypted stays so.
            if request.url.scheme == "https" and response.next_request.url.scheme != "https":
                raise self._error(
                    "BadLocation", f"redirects to {_host(response.next_request.url)}, which is not https"
                )
            request = response.next_request
        else:
            raise self._error("BadLocation", f"redirects more than {_REDIRECTS} times; is a login needed?")
        if response.status_code in (200, 203):
            return response
        try:
            raise self._refused(response, request.url)
        finally:
            response.close()

    def _chunks(self, client: httpx.Client, response: httpx.Response) -> Iterator[memoryview]:
        try:
            for chunk in response.iter_bytes(_CHUNK):
                yield memoryview(chunk)
        except (httpx.HTTPError, httpx.StreamError) as error:
            failed = self._failed(error, response.url)
            raise (
                failed if isinstance(failed, StoreError) else StoreError("StoreUnreachable", str(failed))
            ) from error
        finally:
            response.close()
            client.close()

    def _authorization(self) -> dict[str, str]:
        held = {key.upper(): self.secret.line(key) for key in self.secret.keys if key.upper() in _AUTH_KEYS}
        held = {key: value for key, value in held.items() if value}
        if self.secret.name is None:
            return {}
        if not held and CA in self.secret.content:
            return {}
        if set(held) not in ({"TOKEN"}, {"USERNAME", "PASSWORD"}):
            names = ", ".join(self.secret.keys) or "no keys"
            raise self.secret.fault(
                f"an https source takes the key TOKEN, or USERNAME and PASSWORD, or {CA} alone; it has {names}"
            )
        if self.uri.scheme == "http":
            raise self._error(
                "BadLocation", "sends credentials for everybody to read; use https://, or no secretRef"
            )
        if not all(value.isascii() for value in held.values()) and "TOKEN" in held:
            raise self.secret.fault("TOKEN has other characters than ASCII")
        if "TOKEN" in held:
            return {"Authorization": f"Bearer {held['TOKEN']}"}
        pair = base64.b64encode(f"{held['USERNAME']}:{held['PASSWORD']}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def _context(self) -> ssl.SSLContext:
        context = httpx.create_ssl_context()
        if (authorities := self.secret.authorities()) is not None:
            try:
                context.load_verify_locations(cadata=authorities)
            except ssl.SSLError as error:
                raise self.secret.fault(
                    f"{CA} holds a certificate that cannot be read; it must be PEM"
                ) from error
        return context

    def _refused(self, response: httpx.Response, url: httpx.URL) -> StoreError | _PassingError:
        """What an answer other than 200 means."""
        status = response.status_code
        said = f"{_host(url)} answers {status}{_phrase(status)}{_reason(response)}"
        if status in (401, 403, 407):
            if self.secret.name:
                mend = f"is what {self.secret} holds right, and may it read this?"
            elif self.uri.query:
                mend = "has its query expired? Or name a Secret with TOKEN, or USERNAME and PASSWORD, as secretRef"
            else:
                mend = "name a Secret with TOKEN, or USERNAME and PASSWORD, as secretRef"
            return self._error("StoreDenied", f"access denied: {said}; {mend}")
        if status in (404, 410):
            return self._error("NotFound", f"{said}; mend the URI")
        if status in (408, 425, 429) or status >= 500:
            return _PassingError(f"{self.text}: {said}", _wait(response.headers.get("retry-after")))
        return self._error("BadLocation", f"{said}, not 200; mend the URI")

    def _failed(self, error: Exception, url: httpx.URL) -> StoreError | _PassingError:
        """What it means that there is no answer, or no whole one."""
        detail = str(error)
        at = _host(url)
        if match := re.search(r"CERTIFICATE_VERIFY_FAILED\] certificate verify failed:? ?([^(]*)", detail):
            why = match[1].strip()
            unknown = "self-signed" in why or "self signed" in why or "issuer" in why
            why = f"the authority that issued it is not known here ({why})" if unknown else why
            return self._error("CertificateUntrusted", untrusted(at, why, self.secret))
        if "WRONG_VERSION_NUMBER" in detail or "RECORD_LAYER_FAILURE" in detail:
            return self._error("BadLocation", f"{at} does not speak TLS; begin the URI with http://")
        if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol | ValueError):
            return self._error("BadLocation", f"{at} is no place to read from: {shown(detail)}")
        if isinstance(error, httpx.DecodingError):
            return self._error("BadLocation", f"what {at} sends is not in the Content-Encoding that it names")
        proxy = f"{self.uri.scheme.upper()}_PROXY"
        behind = f" (asked through the proxy of {proxy})" if self.uri.scheme in getproxies() else ""
        return _PassingError(f"{self.text}: {_unreachable(at, error)}{behind}")

    def _error(self, reason: Reason, problem: str) -> StoreError:
        return StoreError(reason, f"{self.text}: {problem}")


class _PassingError(Exception):
    """A fault that may pass; `wait` is how many seconds the server wants to be left alone."""

    def __init__(self, message: str, wait: float | None = None) -> None:
        super().__init__(message)
        self.wait = wait


def _unreachable(at: str, error: Exception) -> str:
    detail = str(error)
    if isinstance(error, httpx.ProxyError):
        return f"the proxy does not let us to {at}; look at HTTPS_PROXY and NO_PROXY of template.env"
    if "Name or service not known" in detail or "name resolution" in detail or "No address" in detail:
        return f"the name in {at} cannot be resolved; is it right?"
    if "refused" in detail:
        return f"{at} refuses the connection; is the port right, and the server up?"
    if isinstance(error, httpx.TimeoutException):
        return f"{at} does not answer in time"
    if isinstance(error, httpx.RemoteProtocolError | httpx.ReadError):
        return f"{at} ended the connection in mid-answer"
    return f"{at} cannot be reached ({type(error).__name__})"


def _host(url: httpx.URL) -> str:
    return f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rsplit('@', 1)[-1]}"


def _phrase(status: int) -> str:
    try:
        return f" {HTTPStatus(status).phrase}"
    except ValueError:
        return ""


def _reason(response: httpx.Response) -> str:
    """Why an object store refuses a signed query; other servers' pages are not shown, since they may repeat it."""
    try:
        body = next(response.iter_bytes(_WORDS), b"").decode(errors="replace")
    except (httpx.HTTPError, httpx.StreamError):
        return ""
    code, message = (
        re.search(r"<Code>(\w{1,80})</Code>", body),
        re.search(r"<Message>([\w .,'-]{1,120})</Message>", body),
    )
    return f" ({': '.join(match[1] for match in (code, message) if match)})" if code else ""


def _wait(retry_after: str | None) -> float | None:
    if retry_after is None or not retry_after.isdecimal():
        return None
    return min(_LONGEST_WAIT, float(retry_after))


def _disposition(header: str | None) -> str | None:
    """The name of a Content-Disposition, without folders."""
    if header is None:
        return None
    message = Message()
    message["content-disposition"] = header
    name = message.get_filename()
    return re.split(r"[/\\]", name)[-1] or None if name else None
