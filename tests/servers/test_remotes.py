"""A DVC remote between two clones: the second gets data and weights without training."""

from pathlib import Path

import pytest

from hourglass.core.atomic import sha256
from tests.servers.running import Remote, s3_server, ssh_server
from tests.servers.test_clients import small
from tests.workspaces import Project

CELL = "runs/digits/linear"


@pytest.fixture(scope="module")
def trained(new_project) -> Project:
    """Give a repository with one cell, trained, evaluated and committed."""
    project = small(new_project(), "linear")
    project.commit()
    project.run("dvc", "repro", "--quiet")
    project.commit()
    return project


@pytest.fixture
def remote(request, tmp_path):
    """Give a remote of the requested kind."""
    if request.param == "folder":
        yield Remote(str(tmp_path / "remote"), {}, {})
    elif request.param == "ssh":
        with ssh_server(tmp_path) as server:
            yield server
    else:
        with s3_server() as server:
            yield server


def set_credentials(project: Project, remote: Remote) -> None:
    """Write the credentials to DVC's local settings, which git ignores."""
    for key, value in remote.credentials.items():
        project.run("dvc", "remote", "modify", "--local", remote.name, key, value)


@pytest.mark.parametrize(
    "remote",
    [
        pytest.param("folder", marks=pytest.mark.slow),
        pytest.param("ssh", marks=pytest.mark.servers),
        pytest.param("s3", marks=pytest.mark.servers),
    ],
    indirect=True,
)
def test_a_second_clone_reproduces_without_training(trained, remote, tmp_path):
    trained.run("dvc", "remote", "add", "--force", "--default", remote.name, remote.url)
    for key, value in remote.shared.items():
        trained.run("dvc", "remote", "modify", remote.name, key, value)
    set_credentials(trained, remote)
    trained.commit()
    trained.run("dvc", "push", "--quiet")

    trained.git("clone", "--quiet", ".", str(tmp_path / "second"))
    second = Project(Path(tmp_path / "second"))
    config = second.git("show", "HEAD:.dvc/config")
    assert not any(f"{key} =" in config for key in remote.credentials)
    assert not (second / CELL).exists()
    set_credentials(second, remote)
    second.run("dvc", "pull", "--quiet")
    assert "Running stage" not in second.run("dvc", "repro").stdout
    assert "up to date" in second.run("dvc", "status").stdout
    files = trained.files("data/prepared") + trained.files("runs") + trained.files("reports")
    # DVC tracks neither the run ids and times, nor the pages, which show them.
    files = [file for file in files if "/tracking/" not in file and not file.endswith(".html")]
    assert f"{CELL}/train/weights.safetensors" in files
    assert [sha256(second / each) for each in files] == [sha256(trained / each) for each in files]
    assert second.git("status", "--porcelain") == ""
