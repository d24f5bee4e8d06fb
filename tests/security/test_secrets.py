"""Messages hold no passwords and keys, and servers listen on this machine alone."""

import re
import subprocess

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hourglass.core.errors import UserError, one_line
from hourglass.core.redaction import redact
from hourglass.tracking.connection import connect
from hourglass.tracking.time_limit import StoreUnavailable
from hourglass.tuning.storage import open_storage

SECRET = "hunter2-p@ss/w?rd"
PLACES = (
    "postgresql+psycopg://me:{}@db.local:5432/optuna",
    "http://me:{}@127.0.0.1:9",
    "s3://{}@b/",
)


@pytest.mark.parametrize("url", PLACES)
@pytest.mark.parametrize("around", ["{}", "the server at {} is away.", "({}); start it", "'{}'"])
def test_a_message_holds_no_login(url, around):
    sentence = str(UserError(around.format(url.format(SECRET))))
    assert "hunter2" not in sentence
    assert "rd@" not in sentence
    assert "***@" in sentence


def test_the_host_and_path_of_a_url_stay():
    text = "the Optuna storage postgresql://me:x@db.local:5432/studies?sslmode=require is away."
    assert redact(text) == "the Optuna storage postgresql://***@db.local:5432/studies is away."
    for text in ("see https://a.b/c.", "a:b@c", "mail me@there", "sqlite:////tmp/x.db"):
        assert redact(text) == text


@given(password=st.text(st.sampled_from("aZ09@:/?#&=%.;,)'\"\\"), min_size=6))
@example(password="@@@@@@")
@example(password="a?b@c/d:e")
@settings(max_examples=60, deadline=None, database=None, derandomize=True)
def test_no_password_stays_in_a_url(password):
    shown = redact(f"see postgresql://me:{password}@host/name now")
    assert shown == "see postgresql://***@host/name now"


@pytest.mark.parametrize(
    "name",
    ["MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"],
)
def test_the_value_of_a_secret_variable_is_redacted_everywhere(monkeypatch, name):
    monkeypatch.setenv(name, SECRET)
    assert one_line(ValueError(f"login with {SECRET} failed")) == "login with *** failed"
    assert SECRET not in str(UserError(f"it is {SECRET!r}."))


def test_the_password_of_a_url_variable_is_redacted_without_the_url(monkeypatch):
    monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", "postgresql://me:hun%40ter2@host/db")
    assert redact('user "me" with hun@ter2, or hun%40ter2') == 'user "me" with ***, or ***'


@pytest.mark.parametrize("url", [place for place in PLACES if not place.startswith("s3")])
def test_an_unavailable_server_is_named_without_its_password(workspace, monkeypatch, refusal, url):
    address = url.format("hunter2").replace("db.local:5432", "127.0.0.1:9")
    if address.startswith("http"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        with pytest.raises(StoreUnavailable) as away:
            connect(workspace)
        sentence = str(away.value)
    else:
        monkeypatch.setenv("HOURGLASS_OPTUNA_STORAGE", address)
        sentence = refusal(open_storage)
    assert "127.0.0.1:9" in sentence
    assert "hunter2" not in sentence


def test_nothing_in_the_repository_listens_on_every_address(repository):
    listed = subprocess.run(
        ["git", "ls-files", "-z", "Makefile", "scripts", "src", ".ci", "dvc.yaml", "configs"],
        cwd=repository, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    every = re.compile(r"0\.0\.0\.0|--host[ =]\*|listen_addresses\s*=\s*'\*'|\[?::\]?:\d")
    texts = {name: (repository / name).read_text("utf-8") for name in listed.split("\0") if name}
    assert 'HOST = "127.0.0.1"' in texts["src/hourglass/cli/ui.py"]
    assert not [name for name, text in texts.items() if every.search(text)]
