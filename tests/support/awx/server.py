# SPDX-License-Identifier: GPL-3.0-or-later
# Copyright (c) 2026 The hostcare.remediation authors
"""A stand-in for AWX: its API over HTTP as far as awx.awx and ansible-rulebook use it."""

from __future__ import annotations

import json
import threading
import typing as t
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from ansible_collections.hostcare.remediation.tests.support.awx import rules
from ansible_collections.hostcare.remediation.tests.support.awx.objects import (
    ASSOCIATIONS,
    FIELDS,
    Controller,
    Item,
    NotThere,
)

TOKEN = "a-token-of-the-tests"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    controller: Controller
    lock = threading.Lock()

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_PATCH = do_DELETE = do_GET  # noqa: N815

    def _answer(self) -> None:
        address = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            with self.lock:
                code, data = self._handle(
                    [part for part in address.path.split("/") if part],
                    {name: values[0] for name, values in parse_qs(address.query).items()},
                    json.loads(body) if body else {},
                )
        except rules.Refused as refusal:
            code, data = 400, {"__all__": [str(refusal)], "error": str(refusal)}
        except NotThere as error:
            code, data = 404, {"detail": str(error)}
        content = b"" if code == 204 else json.dumps(data).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-API-Product-Name", "AWX")
        self.send_header("X-API-Product-Version", "24.6.1")
        self.end_headers()
        self.wfile.write(content)

    def _handle(self, path: list[str], filters: dict[str, str], given: Item) -> tuple[int, t.Any]:
        controller, method = self.controller, self.command
        if path[:2] != ["api", "v2"] or len(path) < 3:
            raise NotThere("/".join(path))
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"detail": "Authentication credentials were not provided."}
        kind, rest = path[2], path[3:]
        if kind == "config":
            return 200, {"version": "24.6.1"}
        if kind not in FIELDS and kind != "unified_job_templates":
            raise NotThere(kind)
        if not rest:
            if method == "POST":
                return 201, controller.create(kind, given)
            return 200, _page(controller.listed(kind, filters))
        number = int(rest[0])
        if len(rest) == 1:
            if method == "DELETE":
                controller.delete(kind, number)
                return 204, None
            return 200, controller.patch(kind, number, given) if method == "PATCH" else controller.one(kind, number)
        return self._handle_part(kind, number, rest[1], given)

    def _handle_part(self, kind: str, number: int, part: str, given: Item) -> tuple[int, t.Any]:
        controller, method = self.controller, self.command
        if part == "survey_spec":
            if method == "POST":
                rules.check_survey(given)
                controller.surveys[kind, number] = given
                return 200, {}
            return 200, controller.surveys[kind, number]
        if part == "update" and kind == "projects":
            return 202, controller.update_project(number)
        if part == "create_approval_template":
            return 201, controller.approve_at(number, given)
        if part == "launch" and method == "POST":
            return 201, controller.launch(kind, number, given)
        if part in ASSOCIATIONS:
            if method == "POST":
                controller.associate(kind, number, part, given)
                return 204, None
            return 200, _page(
                [controller.one(ASSOCIATIONS[part], one) for one in controller.related[kind, number, part]]
            )
        raise NotThere(part)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """No word of its own."""


def _page(results: list[Item]) -> Item:
    return {"count": len(results), "next": None, "previous": None, "results": results}


class Awx:
    """The server on a port of its own: `with Awx(checkout) as awx`."""

    def __init__(self, checkout: Path) -> None:
        self.controller = Controller(checkout)
        handler = type("Bound", (Handler,), {"controller": self.controller, "lock": threading.Lock()})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Awx:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._server.shutdown()
        self._server.server_close()
