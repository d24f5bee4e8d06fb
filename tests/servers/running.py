"""Temporary SSH and S3 servers on loopback, for DVC remotes."""

import getpass
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest
from hosting import processes

SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/member.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp internal-sftp
"""


@dataclass(frozen=True)
class Remote:
    """A DVC remote: its URL, the settings that git tracks, and a member's credentials."""

    url: str
    shared: dict[str, str]
    credentials: dict[str, str]

    @property
    def name(self) -> str:
        """Return a name that is unique per kind of remote."""
        scheme, separator, _ = self.url.partition("://")
        return scheme if separator else "folder"


@contextmanager
def ssh_server(folder: Path) -> Iterator[Remote]:
    """Yield a folder behind a real sshd that accepts a new key."""
    program = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if not program or not shutil.which("ssh-keygen"):
        pytest.skip("no sshd to start: `apt-get install openssh-server`")
    if not os.geteuid():
        Path("/run/sshd").mkdir(exist_ok=True)  # which sshd needs if root runs it
    for name in ("host", "member"):
        make = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        subprocess.run(make, check=True)
    port = processes.free_port()
    (folder / "settings").write_text(SETTINGS.format(port=port, folder=folder))
    pid_file, log = folder / "pid", folder / "log"
    command = [program, "-D", "-e", "-f", str(folder / "settings")]
    processes.start(command, pid_file, log, os.environ)
    try:
        processes.wait_for(lambda: "listening" in log.read_text(), pid_file, log)
        url = f"ssh://127.0.0.1:{port}{folder}/remote"
        yield Remote(url, {}, {"user": getpass.getuser(), "keyfile": str(folder / "member")})
    finally:
        processes.stop(pid_file)


@contextmanager
def s3_server() -> Iterator[Remote]:
    """Yield a bucket of moto's S3 server, which accepts any key."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        keys = {"access_key_id": "a-key", "secret_access_key": "a-secret-key"}
        login = {f"aws_{key}": value for key, value in keys.items()}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **login)
        client.create_bucket(Bucket="team")
        yield Remote("s3://team/hourglass", {"endpointurl": endpoint, "region": "us-east-1"}, keys)
    finally:
        server.stop()
