"""Statuses of commits: GitHub's and GitLab's REST APIs."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from aiohttp import web
from doubles.notified.socket import HttpDouble

SHA = re.compile(r"[0-9a-f]{40}")


class GitHubDouble(HttpDouble):
    """GitHub's "Create a commit status" and "List commit statuses for a reference", newest first."""

    TOKEN = "ghp_double"

    def __init__(self, repository: str = "acme/shop", prefix: str = "/api/v3") -> None:
        super().__init__()
        self.repository = repository
        self.prefix = prefix
        self.statuses: dict[str, list[dict[str, Any]]] = {}
        """By commit, oldest first."""

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {self.TOKEN}":
            return web.json_response({"message": "Bad credentials"}, status=401)
        found = re.fullmatch(
            rf"{self.prefix}/repos/{self.repository}/(?:statuses/(?P<new>\w+)|commits/(?P<old>\w+)/statuses)",
            request.path,
        )
        if found is None:
            return web.json_response({"message": "Not Found"}, status=404)
        if found["old"]:
            return web.json_response(list(reversed(self.statuses.get(found["old"], []))))
        status = json.loads(body)
        if not SHA.fullmatch(found["new"]):
            return web.json_response({"message": f"No commit found for SHA: {found['new']}"}, status=422)
        if status["state"] not in {"error", "failure", "pending", "success"} or len(status["description"]) > 140:
            return web.json_response({"message": "Validation Failed"}, status=422)
        self.statuses.setdefault(found["new"], []).append(status)
        return web.json_response(status, status=201)

    def states(self, sha: str) -> list[str]:
        return [status["state"] for status in self.statuses.get(sha, [])]


class GitLabDouble(HttpDouble):
    """GitLab's "Set commit pipeline status". A status that is over is not changed: another one begins."""

    TOKEN = "glpat-double"

    def __init__(self, project: str = "acme/platform/shop") -> None:
        super().__init__()
        self.project = project
        self.statuses: dict[str, list[dict[str, Any]]] = {}

    async def answer(self, request: web.Request, body: bytes) -> web.Response:
        if request.headers.get("PRIVATE-TOKEN") != self.TOKEN:
            return web.json_response({"message": "401 Unauthorized"}, status=401)
        found = re.fullmatch(r"/api/v4/projects/(?P<project>[^/]+)/statuses/(?P<sha>\w+)", request.raw_path)
        if found is None or unquote(found["project"]) != self.project or not SHA.fullmatch(found["sha"]):
            return web.json_response({"message": "404 Project Not Found"}, status=404)
        status = json.loads(body)
        if status["state"] not in {"pending", "running", "success", "failed", "canceled"}:
            return web.json_response({"error": "state does not have a valid value"}, status=400)
        log = self.statuses.setdefault(found["sha"], [])
        now = next((s for s in log if s["name"] == status["name"] and s["state"] in {"pending", "running"}), None)
        if now is not None and now["state"] == status["state"]:
            message = f'Cannot transition status via :run from :{now["state"]} (Reason(s): Status cannot transition via "run")'
            return web.json_response({"message": message}, status=400)
        if now is not None:
            now.update(status)
        else:
            log.append(status)
        return web.json_response(status, status=201)
