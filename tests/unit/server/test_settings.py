"""The server's environment."""

from pathlib import Path

import pytest

from redstart.server import settings

NAMED = {"REDSTART_MODEL": "m", "REDSTART_VERSION": "m-v1"}


def test_defaults():
    found = settings.read(NAMED)
    assert (found.model, found.version, found.port, found.threads) == ("m", "m-v1", 8080, 1)
    assert found.model_dir == Path("/redstart/model")
    assert found.formats == ("ONNX", "Skops")
    assert found.ignored_inputs == ()


def test_ignored_inputs():
    found = settings.read(NAMED | {"REDSTART_IGNORED_INPUTS": '{"tool_wear": "Number", "site": "Category"}'})
    assert found.ignored_inputs == ("tool_wear", "site")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        pytest.param({"REDSTART_VERSION": "m-v1"}, "REDSTART_MODEL is not set", id="no model"),
        pytest.param({"REDSTART_MODEL": "m"}, "REDSTART_VERSION is not set", id="no version"),
        pytest.param(
            NAMED | {"REDSTART_PORT": "http"}, "REDSTART_PORT is 'http'", id="a port that is no number"
        ),
        pytest.param(NAMED | {"REDSTART_THREADS": "0"}, "REDSTART_THREADS is '0'", id="no thread"),
        pytest.param(
            NAMED | {"REDSTART_FORMATS": "ONNX,Pickle"}, "'Pickle' is no format", id="an unknown format"
        ),
        pytest.param(
            NAMED | {"REDSTART_IGNORED_INPUTS": "tool_wear"},
            "REDSTART_IGNORED_INPUTS is no JSON",
            id="ignored inputs that are no JSON",
        ),
        pytest.param(
            NAMED | {"REDSTART_IGNORED_INPUTS": '["tool_wear"]'},
            "REDSTART_IGNORED_INPUTS must be a JSON object",
            id="ignored inputs without types",
        ),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(environ, message):
    with pytest.raises(ValueError, match=message):
        settings.read(environ)
