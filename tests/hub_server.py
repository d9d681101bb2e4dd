"""A Hub on loopback that speaks the part of the real protocol this project uses (LFS lane), with faults on request."""

import asyncio
import base64
import hashlib
import json
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.hub_jobs import Jobs

PLANTED = "hf_plantedQ7xV31kZw"  # a token that is looked for afterwards wherever it must not be
LARGE = (".safetensors", ".gguf")  # files that travel by themselves, and not in the commit
TOKENS = {
    PLANTED: ("ana", "write"),
    "hf_writer": ("ana", "write"),
    "hf_reader": ("ana", "read"),
    "hf_other": ("ben", "write"),
}


@dataclass
class Repo:
    private: bool
    commits: list[tuple[str, dict[str, bytes]]] = field(default_factory=lambda: [("0" * 40, {})])


@dataclass
class Hub:
    """The state of the server; `fault` may answer a request in place of the real handler."""

    repos: dict[str, Repo] = field(default_factory=dict)
    blobs: dict[str, bytes] = field(default_factory=dict)
    requests: list[str] = field(default_factory=list)
    claims: dict[str, dict[str, int]] = field(default_factory=dict)  # sizes that a repository says its files have
    hardware: dict[str, str] = field(default_factory=dict)  # that was asked for, of Spaces
    fault: Callable[[str], Response | None] = lambda _: None
    late_fault: Callable[[str], Response | None] = lambda _: (
        None
    )  # in place of the answer, after the request was carried out
    slowness: float = 0.0  # seconds for each MB that is sent to it
    url: str = ""

    def files(self, repo: str) -> dict[str, bytes]:
        return self.repos[repo].commits[-1][1]


class Dropped(Response):
    """A connection that breaks in the middle of an answer."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1000")]})
        await send({"type": "http.response.body", "body": b"{", "more_body": False})


def _refuse(status: int, code: str = "", message: str = "") -> Response:
    headers = {key: value for key, value in (("X-Error-Code", code), ("X-Error-Message", message)) if value}
    return JSONResponse({"error": message or code}, status, headers=headers)


def _entries(files: dict[str, bytes], *, recursive: bool) -> list[dict[str, Any]]:
    """What the tree API lists: files with sizes, and folders."""
    folders = {name.split("/")[0] for name in files if "/" in name}
    listed = [
        {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
        for name, data in files.items()
        if recursive or "/" not in name
    ]
    return listed + [{"type": "directory", "path": name, "size": 0, "oid": "0" * 40} for name in sorted(folders)]


class Server:
    """`with Server() as hub:` runs it on a free port."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.jobs = Jobs()
        routes = [
            ("/api/jobs/hardware", self.jobs.hardware, ["GET"]),
            ("/api/jobs/{owner}", self.run_job, ["POST"]),
            ("/api/jobs/{owner}/{id}", self.job, ["GET"]),
            ("/api/jobs/{owner}/{id}/logs", self.job, ["GET"]),
            ("/api/jobs/{owner}/{id}/cancel", self.job, ["POST"]),
            ("/api/datasets/{repo:path}/preupload/{rev}", self.preupload, ["POST"]),
            ("/api/datasets/{repo:path}/commit/{rev}", self.commit, ["POST"]),
            ("/api/spaces/{repo:path}/preupload/{rev}", self.preupload, ["POST"]),
            ("/api/spaces/{repo:path}/commit/{rev}", self.commit, ["POST"]),
            ("/api/spaces/{repo:path}/hardware", self.hardware, ["POST"]),
            ("/api/spaces/{repo:path}/tree/{rev}", self.tree, ["GET"]),
            ("/api/spaces/{repo:path}", self.info, ["GET"]),
            ("/api/whoami-v2", self.whoami, ["GET"]),
            ("/api/repos/create", self.create, ["POST"]),
            ("/api/validate-yaml", self.validate, ["POST"]),
            ("/api/models/{repo:path}/preupload/{rev}", self.preupload, ["POST"]),
            ("/api/models/{repo:path}/commit/{rev}", self.commit, ["POST"]),
            ("/api/models/{repo:path}/revision/{rev}", self.info, ["GET"]),
            ("/api/models/{repo:path}/tree/{rev}", self.tree, ["GET"]),
            ("/api/models/{repo:path}/tree/{rev}/{folder:path}", self.tree, ["GET"]),
            ("/api/models/{repo:path}", self.info, ["GET"]),
            ("/{repo:path}.git/info/lfs/objects/batch", self.lfs_batch, ["POST"]),
            ("/lfs/{oid}", self.lfs_put, ["PUT"]),
            ("/lfs-verify", self.lfs_verify, ["POST"]),
            ("/api/datasets/{repo:path}/revision/{rev}", self.info, ["GET"]),
            ("/api/datasets/{repo:path}/tree/{rev}", self.tree, ["GET"]),
            ("/api/datasets/{repo:path}/tree/{rev}/{folder:path}", self.tree, ["GET"]),
            ("/api/datasets/{repo:path}/paths-info/{rev}", self.paths_info, ["POST"]),
            ("/api/datasets/{repo:path}", self.info, ["GET"]),
            ("/{kind}/{owner}/{name}/resolve/{rev}/{path:path}", self.resolve, ["GET", "HEAD"]),
            ("/{owner}/{name}/resolve/{rev}/{path:path}", self.resolve, ["GET", "HEAD"]),
        ]
        app = Starlette(
            routes=[Route(path, self.guarded(handler), methods=methods) for path, handler, methods in routes]
        )
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self.hub.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._socket = listener
        self._server = uvicorn.Server(uvicorn.Config(app, log_level="critical"))
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)

    def __enter__(self) -> Hub:
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)
        return self.hub

    def __exit__(self, *_: Any) -> None:
        for job in self.jobs.jobs.values():
            if not job.ended:
                self.jobs.kill(job, "CANCELED")
        self._server.should_exit = True
        self._thread.join(10)

    def guarded(self, handler: Any) -> Any:
        async def guard(request: Request) -> Response:
            line = f"{request.method} {request.url.path}"
            self.hub.requests.append(line)
            if (fault := self.hub.fault(line)) is not None:
                return fault
            reply: Response = await handler(request)
            return self.hub.late_fault(line) or reply

        return guard

    def user(self, request: Request) -> tuple[str, str] | None:
        return TOKENS.get(request.headers.get("authorization", "").removeprefix("Bearer "))

    def may_write(self, request: Request, repo: str) -> Response | None:
        user = self.user(request)
        if user is None:
            return _refuse(401, message="Invalid credentials in Authorization header")
        owner = repo.removeprefix("datasets/").removeprefix("spaces/").split("/")[0]
        return _refuse(403, message="no write access") if user[1] != "write" or user[0] != owner else None

    async def whoami(self, request: Request) -> Response:
        user = self.user(request)
        if user is None:
            return _refuse(401, message="Invalid user token.")
        token = {"displayName": "t", "role": user[1]}
        return JSONResponse({"name": user[0], "type": "user", "orgs": [], "auth": {"accessToken": token}})

    async def create(self, request: Request) -> Response:
        asked = await request.json()
        user = self.user(request)
        if user is None:
            return _refuse(401, message="Invalid credentials in Authorization header")
        kind = {"dataset": "datasets/", "space": "spaces/"}.get(asked.get("type"), "")
        repo = f"{kind}{asked.get('organization') or user[0]}/{asked['name']}"
        if refused := self.may_write(request, repo):
            return refused
        document = {"url": f"{self.hub.url}/{repo}", "name": repo}
        if repo in self.hub.repos:
            return JSONResponse({**document, "error": "You already created this model repo"}, 409)
        private = asked.get("visibility") == "private" or asked.get("private", False)
        self.hub.repos[repo] = Repo(private)
        return JSONResponse(document)

    async def validate(self, request: Request) -> Response:
        text = (await request.json())["content"]
        base = re.search(r"^base_model:\s*(\S+)", text, re.MULTILINE)
        if base and not re.fullmatch(r"[\w.-]+/[\w.-]+", base.group(1)):
            return JSONResponse({"errors": [{"message": '"base_model" must be a Hub id'}], "warnings": []}, 400)
        return JSONResponse({"errors": [], "warnings": []})

    async def preupload(self, request: Request) -> Response:
        asked = await request.json()
        repo = self.repo_of(request)
        if refused := self.may_write(request, repo):
            return refused
        return JSONResponse({"files": [
            {"path": f["path"], "uploadMode": "lfs" if f["path"].endswith(LARGE) else "regular", "shouldIgnore": False}
            for f in asked["files"]
        ]})  # fmt: skip

    async def lfs_batch(self, request: Request) -> Response:
        asked = await request.json()
        objects = [
            {"oid": o["oid"], "size": o["size"], "actions": {
                "upload": {"href": f"{self.hub.url}/lfs/{o['oid']}"}, "verify": {"href": f"{self.hub.url}/lfs-verify"}}}
            for o in asked["objects"]
        ]  # fmt: skip
        return JSONResponse({"transfer": "basic", "objects": objects})

    async def lfs_put(self, request: Request) -> Response:
        parts = []
        async for part in request.stream():
            parts.append(part)
            await asyncio.sleep(self.hub.slowness * len(part) / 1e6)
        body = b"".join(parts)
        self.hub.blobs[hashlib.sha256(body).hexdigest()] = body
        return Response(status_code=200)

    async def lfs_verify(self, request: Request) -> Response:
        return Response(status_code=200 if (await request.json())["oid"] in self.hub.blobs else 404)

    async def commit(self, request: Request) -> Response:
        repo = self.repo_of(request)
        if refused := self.may_write(request, repo):
            return refused
        files = dict(self.hub.files(repo))
        for line in (await request.body()).decode().splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.blobs[value["oid"]]
            elif item["key"] == "deletedFile":
                files.pop(value["path"], None)
        oid = hashlib.sha1(repr(sorted(files.items())).encode()).hexdigest()
        self.hub.repos[repo].commits.append((oid, files))
        return JSONResponse({"commitOid": oid, "commitUrl": f"{self.hub.url}/{repo}/commit/{oid}", "success": True})

    async def run_job(self, request: Request) -> Response:
        owner = request.path_params["owner"]
        if refused := self.may_write(request, f"{owner}/jobs"):
            return refused
        return JSONResponse(self.jobs.start(owner, await request.json()).document())

    async def job(self, request: Request) -> Response:
        owner = request.path_params["owner"]
        if refused := self.may_write(request, f"{owner}/jobs"):
            return refused
        found = self.jobs.jobs.get(request.path_params["id"])
        if found is None or found.owner != owner:
            return _refuse(404, message="Job not found")
        if request.url.path.endswith("/logs"):
            return self.jobs.logs(found)
        if request.url.path.endswith("/cancel"):
            self.jobs.kill(found, "CANCELED")
        return JSONResponse(found.document())

    def repo_of(self, request: Request) -> str:
        """The key of `repos`: owner/name, of data sets with datasets/, of Spaces with spaces/ before it."""
        kind = next((kind for kind in ("datasets/", "spaces/") if request.url.path.startswith(f"/api/{kind}")), "")
        return kind + str(request.path_params["repo"])

    async def tree(self, request: Request) -> Response:
        found, folder = self.hub.repos.get(self.repo_of(request)), request.path_params.get("folder", "")
        if found is None:
            return _refuse(404, "RepoNotFound", "Repository not found")
        entries = _entries(found.commits[-1][1], recursive=request.query_params.get("recursive", "").lower() == "true")
        inside = [entry for entry in entries if not folder or entry["path"].startswith(f"{folder}/")]
        return JSONResponse(inside) if inside or not folder else _refuse(404, "EntryNotFound", "no such folder")

    async def paths_info(self, request: Request) -> Response:
        found = self.hub.repos.get(self.repo_of(request))
        if found is None:
            return _refuse(404, "RepoNotFound", "Repository not found")
        paths = (await request.json())["paths"]
        return JSONResponse(
            [entry for entry in _entries(found.commits[-1][1], recursive=True) if entry["path"] in paths]
        )

    async def hardware(self, request: Request) -> Response:
        flavor = (await request.json())["flavor"]
        self.hub.hardware[self.repo_of(request)] = flavor
        return JSONResponse(
            {"stage": "BUILDING", "hardware": {"current": None, "requested": flavor}, "gcTimeout": None}
        )

    async def info(self, request: Request) -> Response:
        repo = self.repo_of(request)
        if repo not in self.hub.repos or (self.hub.repos[repo].private and self.may_write(request, repo)):
            return _refuse(404, "RepoNotFound", "Repository not found")
        found = self.hub.repos[repo]
        sha, files = found.commits[-1]
        claimed = self.hub.claims.get(repo, {name: len(data) for name, data in files.items()})
        siblings = [{"rfilename": name, "size": size} for name, size in claimed.items()]
        return JSONResponse({"id": repo, "sha": sha, "private": found.private, "siblings": siblings, "tags": []})

    async def resolve(self, request: Request) -> Response:
        parts = request.path_params
        kind = f"{parts['kind']}/" if "kind" in parts else ""
        repo = self.hub.repos.get(f"{kind}{parts['owner']}/{parts['name']}")
        if repo is None or (repo.private and self.user(request) is None):
            return _refuse(404, "RepoNotFound", "Repository not found")
        revisions = dict(repo.commits) | {"main": repo.commits[-1][1]}
        files = revisions.get(parts["rev"], {})
        if parts["path"] not in files:
            return _refuse(404, "EntryNotFound", "Entry not found")
        body = files[parts["path"]]
        etag = hashlib.sha256(body).hexdigest()
        commit = repo.commits[-1][0] if parts["rev"] == "main" else parts["rev"]
        return Response(body, headers={"X-Repo-Commit": commit, "ETag": f'"{etag}"'})
