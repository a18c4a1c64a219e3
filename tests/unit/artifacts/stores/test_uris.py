"""URIs as users type them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redstart.artifacts.stores.errors import StoreError
from redstart.artifacts.stores.uris import parse, shown


@pytest.mark.parametrize(
    ("typed", "asked"),
    [
        pytest.param("https://h/a.csv?raw=true", "https://h/a.csv?raw=true", id="a query is part of the URI"),
        pytest.param("https://h/a b.csv", "https://h/a%20b.csv", id="a blank is encoded"),
        pytest.param("https://h/a%20b.csv", "https://h/a%20b.csv", id="what is encoded stays so"),
        pytest.param("https://h/März.csv", "https://h/M%C3%A4rz.csv", id="an umlaut is encoded"),
        pytest.param("https://h/100%.csv", "https://h/100%25.csv", id="a percent sign that encodes nothing"),
        pytest.param("https://h/a?s=x%2Fy&t=a b", "https://h/a?s=x%2Fy&t=a%20b", id="a blank in a query"),
        pytest.param("https://h/a?s=c/d+e=", "https://h/a?s=c/d+e=", id="what a signature holds"),
        pytest.param("https://h?id=3", "https://h/?id=3", id="a query without a path"),
        pytest.param("https://h:8443/a.csv", "https://h:8443/a.csv", id="a port"),
        pytest.param("https://[::1]:8443/a.csv", "https://[::1]:8443/a.csv", id="an IPv6 address"),
        pytest.param("http://files/a.csv", "http://files/a.csv", id="http, as somebody wrote it"),
        pytest.param("https://h/a/", "https://h/a/", id="a slash at the end is the server's affair"),
    ],
)
def test_what_a_web_server_is_asked(typed: str, asked: str) -> None:
    assert parse(typed).url == asked


@pytest.mark.parametrize(
    ("typed", "path"),
    [
        pytest.param("s3://b/a b.csv", "a b.csv", id="a blank"),
        pytest.param(
            "s3://b/März%20.csv", "März%20.csv", id="an umlaut, and percent signs that are the name's"
        ),
        pytest.param("pvc://c/what?#1.csv", "what?#1.csv", id="a question mark and a hash"),
        pytest.param("az://c/folder/", "folder", id="a slash at the end of a folder"),
        pytest.param("gs://b", "", id="the whole bucket"),
    ],
)
def test_what_is_looked_for_in_a_store(typed: str, path: str) -> None:
    assert parse(typed).path == path


@pytest.mark.parametrize(
    ("typed", "problem"),
    [
        pytest.param("ftp://h/x.csv", "use pvc://", id="another scheme"),
        pytest.param("https://u:hidden@h/x.csv", "USERNAME and PASSWORD", id="a password"),
        pytest.param("https://h/x#1.csv", "%23", id="a fragment"),
        pytest.param("https://h:port/x.csv", "host:port", id="a port that is none"),
        pytest.param("https://h:99999/x.csv", "host:port", id="a port that is too high"),
        pytest.param("https://h/x.csv\n", "control character", id="a line break at the end"),
        pytest.param("s3://b/a\tb.csv", "control character", id="a tab"),
        pytest.param("s3://Büc/x.csv", "no name of a bucket", id="a bucket with an umlaut"),
        pytest.param("s3://b:9000/x.csv", "no name of a bucket", id="a bucket with a port"),
        pytest.param("az://c d/x.csv", "use pvc://", id="a container with a blank"),
        pytest.param("pvc://c/../x.csv", "'..'", id="a way up"),
    ],
)
def test_what_is_no_uri(typed: str, problem: str) -> None:
    with pytest.raises(StoreError, match=problem) as caught:
        parse(typed)
    assert caught.value.reason == "BadLocation"
    assert caught.value.of_uri
    assert "hidden" not in str(caught.value)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_web_path_and_query_is_ascii_or_refused_and_never_shown(path: str, query: str) -> None:
    marker = "SIGNATURE"
    typed = f"https://h/{path}?{marker}{query}"
    try:
        uri = parse(typed)
    except StoreError as error:
        refused = str(error)
        assert "#" in path or marker not in refused
        return
    assert uri.url.isascii()
    assert " " not in uri.url
    assert marker not in shown(uri.url)
    assert parse(uri.url).url == uri.url, "encoding twice changes nothing"


@given(st.sampled_from(["s3", "gs", "az", "pvc"]), st.text(min_size=1, max_size=40))
def test_any_name_of_a_file_is_itself_or_refused(scheme: str, name: str) -> None:
    try:
        path = parse(f"{scheme}://place/{name}").path
    except StoreError:
        return
    assert path == name.strip("/")
