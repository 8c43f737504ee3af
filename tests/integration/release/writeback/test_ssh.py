"""A revert over SSH: the real git and ssh, and a server that knows one key and shows another."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import asyncssh
import pytest

from rollouts.api.writeback import GitWriteBack
from rollouts.core.reverts import WriteBack
from rollouts.engine.git import Git, GitError
from rollouts.engine.writeback import write_back

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.integration


async def serve_git(process: asyncssh.SSHServerProcess[bytes]) -> None:
    """Run git-upload-pack or git-receive-pack, as a git server's login shell does."""
    assert process.command
    pipe = asyncio.subprocess.PIPE
    program = await asyncio.create_subprocess_shell(process.command, stdin=pipe, stdout=pipe)
    assert program.stdin
    assert program.stdout

    async def feed() -> None:
        with contextlib.suppress(ConnectionError):
            while data := await process.stdin.read(65536):
                program.stdin.write(data)
                await program.stdin.drain()
        program.stdin.close()

    feeding = asyncio.create_task(feed())
    while data := await program.stdout.read(65536):
        process.stdout.write(data)
    process.exit(await program.wait())
    feeding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await feeding


@pytest.fixture
async def ssh(repository, tmp_path) -> AsyncIterator[tuple[str, dict[str, str]]]:
    """The repository's URL over SSH, and the Secret for it."""
    host, mine = asyncssh.generate_private_key("ssh-ed25519"), asyncssh.generate_private_key("ssh-ed25519")
    known = tmp_path / "authorized_keys"
    known.write_bytes(mine.export_public_key())
    server = await asyncssh.listen(
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=str(known),
        process_factory=serve_git,
        encoding=None,
    )
    port = server.sockets[0].getsockname()[1]
    secret = {
        "identity": mine.export_private_key().decode(),
        "known_hosts": f"[127.0.0.1]:{port} {host.export_public_key().decode()}",
    }
    yield f"ssh://git@127.0.0.1:{port}{repository.bare}", secret
    server.close()
    await server.wait_closed()


async def test_a_revert_goes_over_ssh_and_only_to_a_known_host(repository, ssh, tmp_path):
    url, secret = ssh
    repository.commit("Version 1", payment_yaml="image: shop/payment:v1\n")
    repository.commit("Version 2", payment_yaml="image: shop/payment:v2\n")
    settings = GitWriteBack.model_validate({"url": url, "secretRef": {"name": "git"}})
    order = WriteBack(settings, "5ee1bf65aa", ("shop/payment:v2",), 4_000_000_000.0, "", "aborted")

    def git(folder, secret):
        (tmp_path / folder).mkdir()
        return Git(tmp_path / folder, url, secret, settings.author)

    stranger = secret["known_hosts"].replace("ssh-ed25519 ", "ssh-ed25519 A", 1)
    for number, wrong in enumerate((stranger, "example.org ssh-ed25519 AAAA")):
        with pytest.raises(GitError, match=r"Host key verification failed|Could not read from remote"):
            await write_back(git(f"wrong-{number}", {**secret, "known_hosts": wrong}), order, "shop/payment")
    assert repository.branches() == ["main"]
    assert "pushed branch coalmine/revert-5ee1bf65aa" in await write_back(git("right", secret), order, "shop/payment")
    assert repository.file("coalmine/revert-5ee1bf65aa", "apps/payment.yaml") == "image: shop/payment:v1\n"
