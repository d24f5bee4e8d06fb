"""Audit the locked dependencies: `python scripts/audit.py`, a part of `make lint`.

What can be told offline decides always: every requirement is one release with its hashes, none is
fetched from a URL, and none is a release that is known to be bad. Then pip-audit asks the OSV
database, advisories of the Python Packaging Advisory Database among others, about every release.
Where that cannot be reached, or knows a package's name no more, this says so loudly and does not
fail: a commit does not depend on somebody's server. A vulnerability fails, unless ACCEPTED says why
it may stay.
"""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LOCKS = ("requirements.lock", "requirements-benchmark.lock")
EXCLUDED = {
    ("lightning", "2.6.2"): "malicious on the package index",
    ("lightning", "2.6.3"): "malicious on the package index",
    ("torch", "2.13.0"): "may resolve to a build whose torchvision does not import",
}
# By the id of a vulnerability: why it does not concern us, or what is waited for. Empty is best.
ACCEPTED: dict[str, str] = {}
RELEASE = re.compile(r"(?P<name>[\w.-]+)(\[[\w,.-]+\])?==(?P<version>[\w.+!-]+)(?P<rest>.*)")
HASH = re.compile(r"--hash=sha256:[0-9a-f]{64}(?!\S)")
TIMEOUT = 600  # seconds for all releases


@dataclass(frozen=True)
class Report:
    """What pip-audit found in one lock."""

    vulnerable: list[str]  # a line each, those of ACCEPTED left out
    unknown: list[str]  # packages that the database could not be asked about


def main() -> None:
    """Print what is wrong; exit with status 1 if anything is."""
    wrong = [line for name in LOCKS for line in problems((ROOT / name).read_text("utf-8"), name)]
    for name in LOCKS:
        report = asked(ROOT / name)
        if report is None:
            _shout(f"THE AUDIT OF {name} DID NOT RUN: the vulnerability database did not answer.")
            continue
        wrong += report.vulnerable
        if report.unknown:
            _shout(f"NOT AUDITED in {name}: {', '.join(report.unknown)}.")
    if wrong:
        sys.exit("\n".join(wrong))


def problems(lock: str, name: str) -> list[str]:
    """Return what is wrong with a lock's text, as far as that can be told offline, a line each."""
    found = []
    for line in re.sub(r"\\\n", " ", lock).splitlines():
        requirement = line.partition(" #")[0].strip()
        if not requirement or requirement.startswith("#"):
            continue
        found += [f"{name}: {each}" for each in _problems_of(requirement)]
    return found


def _problems_of(requirement: str) -> list[str]:
    release = RELEASE.fullmatch(requirement)
    if not release or "://" in requirement:
        return [f"{requirement.split()[0]!r} is no release of the package index."]
    key = (release["name"].lower(), release["version"])
    found = [f"{'=='.join(key)} is excluded: {EXCLUDED[key]}."] if key in EXCLUDED else []
    if not HASH.search(release["rest"]):
        found.append(f"{'=='.join(key)} has no hash.")
    return found


def asked(lock: Path) -> Report | None:
    """Return what pip-audit says of a lock, None where it could not ask the database."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(lock), "--disable-pip"),
        *("--require-hashes", "--vulnerability-service", "osv", "--format", "json"),
        *("--progress-spinner", "off"),
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT)
    except subprocess.TimeoutExpired:
        return None
    # Its status is 1 for vulnerabilities and for errors alike; only the former come with a report.
    return understood(json.loads(done.stdout)) if done.stdout.startswith("{") else None


def understood(report: dict[str, Any]) -> Report:
    """Return what a report in pip-audit's JSON says."""
    vulnerable = [
        f"{each['name']}=={each['version']} is vulnerable: {one['id']}, mended in "
        f"{', '.join(one['fix_versions']) or 'no release yet'}."
        for each in report["dependencies"]
        for one in each.get("vulns", ())
        if not {one["id"], *one["aliases"]} & ACCEPTED.keys()
    ]
    unknown = [each["name"] for each in report["dependencies"] if "skip_reason" in each]
    return Report(vulnerable, unknown)


def _shout(text: str) -> None:
    line = "!" * 80
    print(f"{line}\n{text}\n{line}", file=sys.stderr)


if __name__ == "__main__":
    main()
