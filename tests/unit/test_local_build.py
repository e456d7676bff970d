"""The local cloud builds again when a source has changed, and only then."""

from collections.abc import Callable
from pathlib import Path

import pytest

from local import deploy


@pytest.fixture
def sources(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder with a function and a template, built already."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions/app.py").write_text("handler = 1")
    (tmp_path / "template.yaml").write_text("Resources: {}")
    monkeypatch.setattr(deploy, "ROOT", tmp_path)
    monkeypatch.setattr(deploy, "BUILT", tmp_path / "built.sha256")
    monkeypatch.setattr(deploy, "SOURCES", [tmp_path / "functions", tmp_path / "template.yaml"])
    deploy.BUILT.write_text(deploy.digest())
    return tmp_path


def test_what_has_not_changed_is_not_built_again(sources: Path) -> None:
    (sources / "functions/__pycache__").mkdir()
    (sources / "functions/__pycache__/app.pyc").write_text("x")
    (sources / "functions/app.py").touch()
    assert deploy.is_built()


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "functions/app.py").write_text("handler = 2"),
        lambda folder: (folder / "functions/more.py").write_text(""),
        lambda folder: (folder / "functions/app.py").rename(folder / "functions/other.py"),
        lambda folder: (folder / "template.yaml").write_text("Resources: {A: 1}"),
        lambda folder: (folder / "built.sha256").unlink(),
    ],
    ids=["content", "a new file", "a file's name", "the template", "a build that was not finished"],
)
def test_what_has_changed_is_built_again(sources: Path, change: Callable[[Path], object]) -> None:
    change(sources)
    assert not deploy.is_built()


def test_another_parameter_is_another_build(sources: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert sources
    monkeypatch.setitem(deploy.PARAMETERS, "HoldSeconds", "3")
    assert not deploy.is_built()
