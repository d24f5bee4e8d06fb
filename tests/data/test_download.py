"""Downloads: complete and valid files only, from the first mirror that serves one."""

import socket
import time
from pathlib import Path

import pytest

from hourglass.data.download import download
from tests.data.conftest import SHORT

BODY = b"the raw file" * 1000


def fetch(target: Path, *mirrors: str, **options: float) -> bytes:
    """Download to `target`; return the content."""
    with download(target, mirrors, lambda path: path.read_bytes() == BODY, **options) as path:
        path.replace(target)
    assert list(target.parent.iterdir()) == [target]
    return target.read_bytes()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def url(host) -> str:
    """Serve a good file, another one and one that is cut short; return the server's URL."""
    url, pages = host
    pages |= {"/good": BODY, "/other": b"other", SHORT: BODY}
    return url


@pytest.mark.parametrize("first", ["/good", "/other", SHORT, "/none", None])
def test_the_first_mirror_that_serves_the_file_is_used(tmp_path, url, first, capsys):
    first = f"{url}{first}" if first else f"http://127.0.0.1:{free_port()}/file"
    assert fetch(tmp_path / "raw/file.gz", first, f"{url}/good") == BODY
    assert capsys.readouterr().err == ""  # progress is for terminals


def test_the_message_names_file_reasons_and_way_out_and_no_file_is_left(tmp_path, url, refusal):
    target = tmp_path / "creditcard/file.csv"
    sentence = refusal(fetch, target, f"{url}{SHORT}", f"{url}/none", f"{url}/other")
    for part in (str(target), "12,000 of 12,005 bytes", "404", "other contents", "HOURGLASS_DATA"):
        assert part in sentence
    assert list(target.parent.iterdir()) == []


def test_a_silent_server_does_not_hang(tmp_path, refusal, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirror = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        start = time.monotonic()
        refusal(fetch, tmp_path / "file", mirror, timeout_seconds=0.2)
    assert time.monotonic() - start < 5


@pytest.mark.parametrize("bad", ["", "no url", "http://", "http://[/x", "http://127.0.0.1:x/"])
def test_an_invalid_url_is_rejected(tmp_path, refusal, bad):
    refusal(fetch, tmp_path / "file", bad)


def test_a_folder_that_cannot_be_created_is_rejected(tmp_path, url, refusal):
    (tmp_path / "raw").write_text("in the way")
    refusal(fetch, tmp_path / "raw/file", f"{url}/good")


def test_progress_is_shown_on_a_terminal(tmp_path, url, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch(tmp_path / "file", f"{url}/good")
    assert "file: 100%" in capsys.readouterr().err
