"""Audit the locked dependencies: `python scripts/audit.py`, a part of `make lint`.

Offline checks always apply: every requirement is one release with hashes, none comes from a URL,
and none is a release that is known to be bad. Then pip-audit looks up every release in the OSV
database, which includes the Python Packaging Advisory Database. If the database is unreachable or
does not know a package, a warning is printed and the audit passes: a commit must not depend on
another server. A vulnerability fails the audit unless ACCEPTED gives a reason.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-benchmark.lock", "requirements-docs.lock")
EXCLUDED = {
    ("lightning", "2.6.2"): "malicious on the package index",
    ("lightning", "2.6.3"): "malicious on the package index",
    ("torch", "2.13.0"): "may resolve to a build whose torchvision does not import",
}
# Vulnerability id -> the reason why it is accepted.
ACCEPTED: dict[str, str] = {}
RELEASE = re.compile(r"(?P<name>[\w.-]+)(\[[\w,.-]+\])?==(?P<version>[\w.+!-]+)(?P<rest>.*)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?!\S)")
TIMEOUT_SECONDS = 600  # for all releases


@dataclass(frozen=True)
class Report:
    """The results of pip-audit for one lock."""

    vulnerable: list[str]  # one line per vulnerability, without those in ACCEPTED
    unknown: list[str]  # packages that the database does not know


def main() -> None:
    """Print the problems; exit with status 1 if there are any."""
    wrong = [line for name in LOCKS for line in problems((ROOT / name).read_text("utf-8"), name)]
    for name in LOCKS:
        report = run_audit(ROOT / name)
        if report is None:
            _warn(f"THE AUDIT OF {name} DID NOT RUN: the vulnerability database did not answer.")
            continue
        wrong += report.vulnerable
        if report.unknown:
            _warn(f"NOT AUDITED in {name}: {', '.join(report.unknown)}.")
    if wrong:
        sys.exit("\n".join(wrong))


def problems(lock: str, name: str) -> list[str]:
    """Return the problems that the offline checks find in a lock, one line each."""
    lines = []
    for line in re.sub(r"\\\n", " ", lock).splitlines():
        requirement = line.partition(" #")[0].strip()
        if not requirement or requirement.startswith("#"):
            continue
        lines += [f"{name}: {each}" for each in _problems_of(requirement)]
    return lines


def _problems_of(requirement: str) -> list[str]:
    release = RELEASE.fullmatch(requirement)
    if not release or "://" in requirement:
        return [f"{requirement.split()[0]!r} is not a release of the package index."]
    key = (release["name"].lower(), release["version"])
    lines = [f"{'=='.join(key)} is excluded: {EXCLUDED[key]}."] if key in EXCLUDED else []
    if not HASH.search(release["rest"]):
        lines.append(f"{'=='.join(key)} has no hash.")
    return lines


def run_audit(lock: Path) -> Report | None:
    """Return the report of pip-audit on a lock, None if the database is unreachable."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"),
        *("--require-hashes", "--vulnerability-service", "osv", "--format", "json"),
        *("--progress-spinner", "off"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return None
    # The status is 1 for vulnerabilities and for errors; only the former come with a report.
    return parse_report(json.loads(done.stdout)) if done.stdout.startswith("{") else None


def parse_report(report: dict[str, Any]) -> Report:
    """Return the content of a report in pip-audit's JSON."""
    vulnerable = [
        f"{each['name']}=={each['version']} is vulnerable: {one['id']}, fixed in "
        f"{', '.join(one['fix_versions']) or 'no release yet'}."
        for each in report["dependencies"]
        for one in each.get("vulns", ())
        if not {one["id"], *one["aliases"]} & ACCEPTED.keys()
    ]
    unknown = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    return Report(vulnerable, unknown)


def _warn(text: str) -> None:
    line = "!" * 80
    print(f"{line}\n{text}\n{line}", file=sys.stderr)


if __name__ == "__main__":
    main()
