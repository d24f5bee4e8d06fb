"""The locked dependencies, and the audit of them and of pip-audit's reports."""

import pytest
from audit import ACCEPTED, LOCKS, parse_report, problems, run_audit

DIGEST = "0" * 64
GOOD = f"six==1.17.0 ; python_version < '4' \\\n    --hash=sha256:{DIGEST}\n    # via a\n"


@pytest.mark.parametrize("name", LOCKS)
def test_every_locked_dependency_is_a_release_with_hashes(repository, name):
    text = (repository / name).read_text(encoding="utf-8")
    assert text.count("==") > 30
    assert problems(text, name) == []


@pytest.mark.parametrize(
    ("lock", "word"),
    [
        ("six==1.17.0\n", "no hash"),
        (f"six==1.17.0 --hash=md5:{DIGEST}\n", "no hash"),
        (f"six==1.17.0 --hash=sha256:{DIGEST[1:]}\n", "no hash"),
        (f"six>=1.17 --hash=sha256:{DIGEST}\n", "not a release"),
        (f"six @ https://host/six.whl --hash=sha256:{DIGEST}\n", "not a release"),
        ("git+https://host/six\n", "not a release"),
        ("--extra-index-url https://host\n", "not a release"),
        ("-e .\n", "not a release"),
        (f"lightning==2.6.3 --hash=sha256:{DIGEST}\n", "malicious"),
        (f"torch==2.13.0 --hash=sha256:{DIGEST}\n", "torchvision"),
    ],
)
def test_a_defect_of_a_lock_is_reported(lock, word):
    (line,) = problems(f"# a comment\n{GOOD}{lock}", "a.lock")
    assert line.startswith("a.lock: ")
    assert word in line


def _dependency(*aliases: str) -> dict:
    return {"name": "six", "version": "1.0", "vulns": [
        {"id": "PYSEC-1", "aliases": list(aliases), "fix_versions": ["1.1"]}]}  # fmt: skip


def test_a_vulnerability_counts_unless_it_is_accepted(monkeypatch):
    report = {"dependencies": [_dependency("CVE-1"), {"name": "ours", "skip_reason": "unknown"}]}
    result = parse_report(report)
    assert result.vulnerable == ["six==1.0 is vulnerable: PYSEC-1, fixed in 1.1."]
    assert result.unknown == ["ours"]
    monkeypatch.setattr("audit.ACCEPTED", {"CVE-1": "a reason"})
    assert parse_report(report).vulnerable == []


def test_an_unavailable_database_does_not_count_as_a_clean_report(tmp_path, monkeypatch):
    lock = tmp_path / "a.lock"
    lock.write_text(GOOD, encoding="utf-8")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")  # a closed port
    assert run_audit(lock) is None


def test_every_accepted_vulnerability_has_a_reason():
    assert all(len(reason.split()) > 3 for reason in ACCEPTED.values())
