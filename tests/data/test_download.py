"""Downloads: complete and valid files only, from the first mirror that serves one."""

import socket
import time
from pathlib import Path

import pytest

from hourglass.data.download import download

BODY = b"the raw file" * 1000


def is_body(path: Path) -> bool:
    return path.read_bytes() == BODY


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture
def url(host) -> str:
    """Serve a good file, another one and one that is cut short; return the server's URL."""
    url, pages = host
    pages |= {"/good": (BODY, 0), "/other": (b"other", 0), "/short": (BODY, 5)}
    return url


def test_a_file_is_downloaded_to_the_place_of_its_name(tmp_path, url, capsys):
    path = download("raw/file.gz", tmp_path, [f"{url}/good"], is_body)
    assert path == tmp_path / "raw" / "file.gz"
    assert path.read_bytes() == BODY
    assert capsys.readouterr().err == ""  # progress is for terminals


@pytest.mark.parametrize("first", ["/other", "/short", "/none", None])
def test_the_second_mirror_is_used_if_the_first_fails(tmp_path, url, first):
    mirrors = [f"{url}{first}" if first else f"http://127.0.0.1:{free_port()}/file", f"{url}/good"]
    assert download("file", tmp_path, mirrors, is_body).read_bytes() == BODY


def test_a_body_that_is_cut_short_is_rejected_and_leaves_no_file(tmp_path, url, refusal):
    mirrors = [f"{url}/short", f"{url}/none"]
    assert "12,000 of 12,005 bytes" in refusal(download, "file", tmp_path, mirrors, is_body)
    assert list(tmp_path.iterdir()) == []


def test_a_silent_server_does_not_hang(tmp_path, refusal, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mirrors = [f"http://127.0.0.1:{silent.getsockname()[1]}/file"]
        start = time.monotonic()
        refusal(download, "file", tmp_path, mirrors, is_body, timeout_seconds=0.2)
    assert time.monotonic() - start < 5


def test_the_message_names_file_folder_reason_and_way_out(tmp_path, url, refusal):
    sentence = refusal(download, "creditcard/file.csv", tmp_path, [f"{url}/none"], is_body)
    for part in ("creditcard/file.csv", str(tmp_path), "404", "HOURGLASS_DATA"):
        assert part in sentence


@pytest.mark.parametrize("bad", ["", "no url", "http://", "http://[/x", "http://127.0.0.1:x/"])
def test_an_invalid_url_is_rejected(tmp_path, refusal, bad):
    refusal(download, "file", tmp_path, [bad], is_body)


def test_a_folder_that_cannot_be_created_is_rejected(tmp_path, url, refusal):
    (tmp_path / "raw").write_text("in the way")
    refusal(download, "raw/file", tmp_path, [f"{url}/good"], is_body)


def test_progress_is_shown_on_a_terminal(tmp_path, url, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    download("file", tmp_path, [f"{url}/good"], is_body)
    assert "file: 0 of 0 MB" in capsys.readouterr().err
