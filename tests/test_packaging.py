"""The metadata of the package: its dependencies can be installed together."""

import tomllib
from importlib import metadata

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def test_no_dependency_rejects_the_installed_version_of_another():
    """`pip install` of the wheel would fail; the lock file of `make setup` may override bounds."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    queue, visited = [Requirement(text) for text in project["dependencies"]], set()
    while queue:
        requirement = queue.pop()
        key = (canonicalize_name(requirement.name), tuple(sorted(requirement.extras)))
        distribution = metadata.distribution(requirement.name)
        assert requirement.specifier.contains(distribution.version, prereleases=True), requirement
        if key not in visited:
            visited.add(key)
            queue += needed(distribution, requirement.extras)


def needed(distribution: metadata.Distribution, extras: set[str]) -> list[Requirement]:
    """Return the requirements of a distribution with these extras, on this platform."""
    requirements = map(Requirement, distribution.requires or [])
    environments = [{"extra": extra} for extra in ("", *extras)]
    return [
        requirement
        for requirement in requirements
        if not requirement.marker or any(map(requirement.marker.evaluate, environments))
    ]
