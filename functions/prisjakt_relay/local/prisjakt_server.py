"""The simulated Prisjakt API over HTTP: carries out what the model answers, faults included.

Under `/_simulated/`, and not Prisjakt's: what is stored, and which faults are to come.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Any, Final

from flask import Flask, Response, request
from pydantic import ConfigDict, TypeAdapter, ValidationError
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from prisjakt_relay.local.prisjakt_model import (
    BASE_PATH,
    TOKEN_PATH,
    Answer,
    Call,
    Fault,
    PrisjaktModel,
    to_json,
)

_STOPPING: Final = "prisjakt_server.stopping"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
_FAULTS: Final = TypeAdapter(list[Fault], config=ConfigDict(extra="forbid"))


def create_app(model: PrisjaktModel) -> Flask:
    """The API on its documented paths, one call at a time to the model."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    turn = Lock()
    stopping = app.extensions[_STOPPING] = Event()

    @app.route("/<path:path>", methods=_METHODS)
    def api(path: str) -> Response:
        call = Call(
            method=request.method,
            path=f"/{path}",
            query=request.args.to_dict(),
            headers={name.lower(): value for name, value in request.headers},
            body=request.get_data(),
            origin=request.host_url.rstrip("/"),
        )
        with turn:
            answer = model.answer(call)
        overtaken = answer.hang > 0 and stopping.wait(answer.hang)
        return _cut() if overtaken or answer.cut else _response(answer)

    @app.get("/_simulated/events")
    def stored() -> Response:
        with turn:
            records = [event.record() for event in model.events.values()]
        return Response(to_json(records), mimetype="application/json")

    @app.delete("/_simulated/events")
    def forget() -> Response:
        with turn:
            model.forget()
        return Response(status=204)

    @app.post("/_simulated/faults")
    def spoil() -> Response:
        try:
            faults = _FAULTS.validate_json(request.get_data())
        except ValidationError as error:
            problems = error.json(include_url=False, include_input=False)
            return Response(problems, 400, mimetype="application/json")
        with turn:
            model.faults.extend(faults)
        return Response(status=204)

    @app.delete("/_simulated/faults")
    def mend() -> Response:
        with turn:
            model.faults.clear()
        return Response(status=204)

    return app


def _response(answer: Answer) -> Response:
    response = Response(answer.content, answer.status, answer.headers)
    if answer.body is None and "Content-Type" not in answer.headers:
        del response.headers["Content-Type"]
    return response


def _cut() -> Response:
    """Close the connection under the server's feet; what it then tries to write goes nowhere."""
    connection: socket.socket = request.environ["werkzeug.socket"]
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    return Response()


class _QuietHandler(WSGIRequestHandler):
    timeout = 5  # seconds for a client to say what it wants: a silent one must not hold up close()

    def log_request(self, *_: Any) -> None:
        pass


class _Server(ThreadedWSGIServer):
    daemon_threads = False  # so that server_close() waits for them


class PrisjaktServer:
    """A served app; `close()` ends it, calls that hang included."""

    def __init__(self, app: Flask, port: int) -> None:
        self._stopping: Event = app.extensions[_STOPPING]
        self._stopping.clear()
        # Bound here, because werkzeug ends the whole process when a port is taken.
        with socket.create_server(("127.0.0.1", port)) as listener:
            self._server = _Server("127.0.0.1", port, app, _QuietHandler, fd=listener.fileno())
        self.address = f"http://127.0.0.1:{self._server.port}"
        self.base_address = self.address + BASE_PATH
        self.token_address = self.address + TOKEN_PATH
        self._thread = Thread(
            target=self._server.serve_forever, args=(0.05,), name="prisjakt", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        self._server.shutdown()
        self._thread.join()


def serve(app: Flask, port: int) -> PrisjaktServer:
    """Serve on 127.0.0.1 in the background; port 0 takes a free one."""
    return PrisjaktServer(app, port)
