"""The real ``git``, in a folder of its own: nothing of the machine's configuration, no question, no credential in an argument."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from rollouts.api.writeback import GitAuthor

__all__ = ["Git", "GitError"]

TIMEOUT_SECONDS: Final = 120.0
_KEPT: Final = 300
_ASKPASS: Final = '#!/bin/sh\ncase "$1" in Username*) printf %s "$GIT_USERNAME";; *) printf %s "$GIT_PASSWORD";; esac\n'
_NEED: Final = {"https": ("username", "password"), "ssh": ("identity", "known_hosts")}
_PASSED_ON: Final = ("PATH", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE")


class GitError(Exception):
    """git refused, or cannot be run; the text is its own words, with the fix where one is known."""


class Git:
    """git in one folder with one Secret's credentials."""

    def __init__(self, folder: Path, url: str, secret: Mapping[str, str], author: GitAuthor) -> None:
        """Write what git reads into ``folder``.

        Args:
            folder: A private folder that is removed afterwards.
            url: The repository; https, or ssh in either form.
            secret: Keys as Flux has them: username, password, ca.crt; identity, known_hosts.
            author: Of the commits.

        Raises:
            GitError: The Secret lacks a key.
        """
        self._folder = folder
        self._environment = {
            **{k: os.environ[k] for k in _PASSED_ON if k in os.environ},
            "HOME": str(folder),
            "LC_ALL": "C",
            "GIT_ALLOW_PROTOCOL": "https:ssh",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_AUTHOR_NAME": author.name,
            "GIT_AUTHOR_EMAIL": author.email,
            "GIT_COMMITTER_NAME": author.name,
            "GIT_COMMITTER_EMAIL": author.email,
        }
        kind = "https" if url.startswith("https://") else "ssh"
        if missing := [key for key in _NEED[kind] if not secret.get(key)]:
            keys = " and ".join(_NEED[kind])
            raise GitError(f"the Secret has no {missing[0]}: a {kind} repository needs the keys {keys}")
        self._environment |= self._https(secret) if kind == "https" else self._ssh(secret)

    def _https(self, secret: Mapping[str, str]) -> dict[str, str]:
        found = {
            "GIT_ASKPASS": self._write("askpass", _ASKPASS, 0o700),
            "GIT_USERNAME": secret["username"],
            "GIT_PASSWORD": secret["password"],
        }
        if authority := secret.get("ca.crt"):
            found["GIT_SSL_CAINFO"] = self._write("ca.crt", authority)
        return found

    def _ssh(self, secret: Mapping[str, str]) -> dict[str, str]:
        identity = self._write("identity", secret["identity"].rstrip("\n") + "\n")
        hosts = self._write("known_hosts", secret["known_hosts"].rstrip("\n") + "\n")
        options = ("BatchMode=yes", "IdentitiesOnly=yes", "StrictHostKeyChecking=yes", f"UserKnownHostsFile={hosts}")
        command = f"ssh -F /dev/null -i {identity} " + " ".join(f"-o {option}" for option in options)
        return {"GIT_SSH_COMMAND": command}

    def _write(self, name: str, text: str, mode: int = 0o600) -> str:
        path = self._folder / name
        path.touch(mode=mode)
        path.write_text(text)
        return str(path)

    async def run(self, *args: str) -> str:
        """Run ``git ARGS`` in the repository and return what it wrote.

        Raises:
            GitError: It failed, or took longer than two minutes.
        """
        return (await self.both(*args))[0]

    async def both(self, *args: str) -> tuple[str, str]:
        """Run ``git ARGS`` and return standard output and standard error.

        Raises:
            GitError: It failed, or took longer than two minutes.
        """
        repository = self._folder / "repository"
        repository.mkdir(exist_ok=True)
        try:
            process = await asyncio.create_subprocess_exec(
                "git", *args, cwd=repository, env=self._environment, stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError:
            raise GitError("there is no git beside the controller: install it in the controller's image") from None
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                out, err = (text.decode(errors="replace") for text in await process.communicate())
        except TimeoutError:
            raise GitError(f"git {args[0]}: no answer within {TIMEOUT_SECONDS:.0f} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.wait()
        if process.returncode:
            raise GitError(f"git {args[0]}: {_last_words(err or out)}")
        return out, err


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:", "remote:", "!"))] or lines[-1:]
    return " / ".join(telling)[:_KEPT] or "it failed without a word"
