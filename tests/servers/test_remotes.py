"""A DVC remote between two clones: the second has data and weights without a training."""

from pathlib import Path

import pytest

from hourglass.core.atomic import sha256
from tests.servers.running import Remote, s3_server, ssh_server
from tests.servers.test_clients import small
from tests.workspaces import Project

CELL = "runs/digits/linear"


@pytest.fixture(scope="module")
def trained(new_project) -> Project:
    """Give a repository whose one cell is trained, evaluated, and committed."""
    project = small(new_project(), "linear")
    project.commit()
    project.run("dvc", "repro", "--quiet")
    project.commit()
    return project


@pytest.fixture
def remote(request, tmp_path):
    """Give a remote of the kind that is asked for."""
    if request.param == "folder":
        yield Remote(str(tmp_path / "remote"), {}, {})
    elif request.param == "ssh":
        with ssh_server(tmp_path) as found:
            yield found
    else:
        with s3_server() as found:
            yield found


def name_credentials(project: Project, remote: Remote) -> None:
    """Tell DVC who we are, in a file that git does not see."""
    for key, value in remote.own.items():
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
    name_credentials(trained, remote)
    trained.commit()
    trained.run("dvc", "push", "--quiet")

    trained.git("clone", "--quiet", ".", str(tmp_path / "second"))
    second = Project(Path(tmp_path / "second"))
    told = second.git("show", "HEAD:.dvc/config")
    assert not any(f"{key} =" in told for key in remote.own)
    assert not (second / CELL).exists()
    name_credentials(second, remote)
    second.run("dvc", "pull", "--quiet")
    said = second.run("dvc", "repro").stdout
    assert "Running stage" not in said
    assert "up to date" in second.run("dvc", "status").stdout
    files = trained.files("data/prepared") + trained.files("runs") + trained.files("reports")
    assert f"{CELL}/weights.safetensors" in files
    assert [sha256(second / each) for each in files] == [sha256(trained / each) for each in files]
    assert second.git("status", "--porcelain") == ""
