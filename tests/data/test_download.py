import hashlib
import socket
import time

import pytest

from hourglass.data.download import fetch

BODY = b"the raw file" * 1000
MD5 = hashlib.md5(BODY).hexdigest()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_good_download_is_there_whole(tmp_path, host):
    url, pages = host
    pages["/good"] = (BODY, 0)
    assert fetch("raw/file.gz", tmp_path, [f"{url}/good"], MD5).read_bytes() == BODY


def test_the_file_lies_where_it_was_asked_for(tmp_path, host):
    url, pages = host
    pages["/good"] = (BODY, 0)
    assert fetch("raw/file.gz", tmp_path, [f"{url}/good"]) == tmp_path / "raw" / "file.gz"


def test_a_wrong_md5_leads_to_the_second_mirror(tmp_path, host):
    url, pages = host
    pages.update({"/other": (b"other", 0), "/good": (BODY, 0)})
    assert fetch("file", tmp_path, [f"{url}/other", f"{url}/good"], MD5).read_bytes() == BODY


def test_a_refused_check_leads_to_the_second_mirror(tmp_path, host):
    url, pages = host
    pages.update({"/other": (b"other", 0), "/good": (BODY, 0)})
    urls = [f"{url}/other", f"{url}/good"]
    path = fetch("file", tmp_path, urls, check=lambda part: part.read_bytes() == BODY)
    assert path.read_bytes() == BODY


def test_a_truncated_body_is_refused_without_a_checksum(tmp_path, host, refusal):
    url, pages = host
    pages["/short"] = (BODY, 5)
    assert "12,000 of 12,005 bytes" in refusal(fetch, "file", tmp_path, [f"{url}/short"])


def test_nothing_half_written_remains(tmp_path, host, refusal):
    url, pages = host
    pages["/short"] = (BODY, 5)
    refusal(fetch, "file", tmp_path, [f"{url}/short", f"{url}/none"])
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_leads_to_the_second_mirror(tmp_path, host):
    url, pages = host
    pages["/good"] = (BODY, 0)
    urls = [f"http://127.0.0.1:{free_port()}/file", f"{url}/good"]
    assert fetch("file", tmp_path, urls, MD5).is_file()


def test_a_host_that_never_answers_does_not_hang(tmp_path, refusal, monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/file"
        start = time.monotonic()
        refusal(fetch, "file", tmp_path, [url], timeout=0.2)
    assert time.monotonic() - start < 5


def test_the_refusal_names_file_folder_and_way_out(tmp_path, host, refusal):
    url, _ = host
    sentence = refusal(fetch, "MNIST/raw/file.gz", tmp_path, [f"{url}/none"])
    for part in ("MNIST/raw/file.gz", str(tmp_path), "404", "HOURGLASS_DATA"):
        assert part in sentence


@pytest.mark.parametrize("url", ["", "no url", "http://", "http://[/x", "http://127.0.0.1:x/"])
def test_nothing_but_a_refusal_comes_out_of_a_bad_url(tmp_path, refusal, url):
    refusal(fetch, "file", tmp_path, [url])


def test_a_folder_that_cannot_be_made_is_refused(tmp_path, host, refusal):
    url, pages = host
    pages["/good"] = (BODY, 0)
    (tmp_path / "raw").write_text("in the way")
    refusal(fetch, "raw/file", tmp_path, [f"{url}/good"])


def test_no_progress_is_shown_where_nobody_watches(tmp_path, host, capsys):
    url, pages = host
    pages["/good"] = (BODY, 0)
    fetch("file", tmp_path, [f"{url}/good"])
    assert capsys.readouterr().err == ""


def test_progress_is_shown_on_a_terminal(tmp_path, host, capsys, monkeypatch):
    url, pages = host
    pages["/good"] = (BODY, 0)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fetch("file", tmp_path, [f"{url}/good"])
    assert "file: 0 of 0 MB" in capsys.readouterr().err
