"""How values are written in status."""

from redstart.artifacts.description import label_text


def test_classes_as_text() -> None:
    assert [label_text(label) for label in (True, False, 1, 1.0, "a")] == ["true", "false", "1", "1.0", "a"]
