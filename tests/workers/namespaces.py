"""Machines that share no folder: network and mount namespaces of this one.

Each has an address of its own on a bridge (``ip netns``), its own ``/tmp/ray`` and ``/dev/shm``,
and an empty folder of its own (tmpfs) in the place of each folder that it is not to see.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

_NET = "10.213.77"


class Machines:
    """Machines by name; the first holds the bridge."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = {name: f"gm{os.getpid()}{name}" for name in names}
        self.started: list[tuple[str, subprocess.Popen[str]]] = []

    def address(self, name: str) -> str:
        return f"{_NET}.{list(self.names).index(name) + 1}"

    def process(self, name: str) -> subprocess.Popen[str]:
        """The first command that was started on a machine."""
        return next(process for each, process in self.started if each == name)

    def start(
        self,
        name: str,
        words: Sequence[str],
        *,
        hidden: Sequence[Path],
        folder: Path,
        environment: Mapping[str, str],
    ) -> subprocess.Popen[str]:
        """Start a command on a machine; its process id is that of the command.

        A second command on a machine has the folders of the first.
        """
        shadows = [*hidden, Path("/dev/shm"), Path("/tmp/ray")]
        mounts = "".join(f"mount -t tmpfs tmpfs {shlex.quote(str(path))}; " for path in shadows)
        script = f"set -e; mount --make-rprivate /; {mounts}exec {shlex.join(words)}"
        command = ["ip", "netns", "exec", self.names[name], "unshare", "-m", "sh", "-c", script]
        if any(each == name for each, _ in self.started):
            inside = f"cd {shlex.quote(str(folder))} && exec {shlex.join(words)}"
            command = ["nsenter", "--target", str(self.process(name).pid), "--mount", "--net"]
            command += ["sh", "-c", inside]
        process = subprocess.Popen(
            command,
            cwd=folder,
            env={**os.environ, **environment},
            start_new_session=True,
            stdout=subprocess.PIPE,
            stderr=(folder / f"{name}{len(self.started)}.err").open("w"),
            text=True,
        )
        self.started.append((name, process))
        return process

    def open(self) -> None:
        for name in self.names.values():
            _ip("netns", "add", name)
            _ip("-n", name, "link", "set", "lo", "up")
        hub, *others = self.names.values()
        _ip("-n", hub, "link", "add", "hub", "type", "bridge")
        _ip("-n", hub, "addr", "add", f"{_NET}.1/24", "dev", "hub")
        _ip("-n", hub, "link", "set", "hub", "up")
        for number, name in enumerate(others, start=2):
            port = f"port{number}"
            _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "eth0", "netns", name)
            _ip("-n", hub, "link", "set", port, "master", "hub", "up")
            _ip("-n", name, "addr", "add", f"{_NET}.{number}/24", "dev", "eth0")
            _ip("-n", name, "link", "set", "eth0", "up")

    def close(self) -> None:
        for _, process in self.started:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for _, process in self.started:
            try:
                process.communicate(timeout=20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.communicate()
        for name in self.names.values():
            pids = subprocess.run(
                ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
            )
            for pid in pids.stdout.split():  # Ray's daemons have sessions of their own
                with suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)


@contextmanager
def machines(*names: str) -> Iterator[Machines]:
    """Machines that see each other's addresses and nothing else; skips where none can be made."""
    if not all(map(shutil.which, ("ip", "unshare", "mount"))):
        pytest.skip("needs ip, unshare and mount (Debian: iproute2, util-linux)")
    found = Machines(names)
    Path("/tmp/ray").mkdir(exist_ok=True)
    try:
        try:
            found.open()
            subprocess.run(
                ["unshare", "-m", "mount", "-t", "tmpfs", "tmpfs", "/tmp/ray"],
                check=True,
                capture_output=True,
                text=True,
            )
        except (subprocess.CalledProcessError, PermissionError) as error:
            reason = str(getattr(error, "stderr", "") or error).strip()
            pytest.skip(f"network and mount namespaces are not allowed here: {reason}")
        yield found
    finally:
        found.close()


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)
