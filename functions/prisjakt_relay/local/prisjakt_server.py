"""The simulated Prisjakt API over HTTP: carries out what the model answers, faults included.

Under `/_simulated/`, and not Prisjakt's: what is stored, what was asked, which faults are to come,
and who may ask how often.
"""

from __future__ import annotations

import socket
from collections import deque
from contextlib import suppress
from threading import Event, Lock, Thread
from typing import Annotated, Any, Final, Literal, TypeVar

from flask import Flask, Response, request
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from prisjakt_relay.local.exchange import call_of
from prisjakt_relay.local.prisjakt_model import (
    BASE_PATH,
    TOKEN_PATH,
    Answer,
    Fault,
    PrisjaktModel,
    route,
    to_json,
)

_STOPPING: Final = "prisjakt_server.stopping"
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")
REQUESTS_KEPT: Final = 10_000
_FAULTS: Final = TypeAdapter(list[Fault], config=ConfigDict(extra="forbid"))
_Content = TypeVar("_Content")
_Text = Annotated[str, Field(min_length=1)]


class _Client(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    secret: _Text
    roles: list[Literal["admin", "event_publisher", "shop_user"]] = ["shop_user"]


class _Limit(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    hourly: Annotated[int, Field(ge=0)]


_CLIENTS: Final[TypeAdapter[dict[_Text, _Client] | None]] = TypeAdapter(dict[_Text, _Client] | None)
_LIMIT: Final = TypeAdapter(_Limit)


def create_app(model: PrisjaktModel) -> Flask:
    """The API on its documented paths, one call at a time to the model."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False
    turn = Lock()
    stopping = app.extensions[_STOPPING] = Event()
    requests: deque[dict[str, object]] = deque(maxlen=REQUESTS_KEPT)

    @app.route("/<path:path>", methods=_METHODS)
    def api(path: str) -> Response:
        call = call_of(request, f"/{path}")
        found = route(call)
        with turn:
            client_id = model.client_of(call)
            answer = model.answer(call)
            requests.append(
                {
                    "method": call.method,
                    "path": call.path,
                    "operation": found[0].name if found else None,
                    "status": None if answer.cut else answer.status,
                    "client": client_id,
                }
            )
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
        faults = _content(_FAULTS)
        if isinstance(faults, Response):
            return faults
        with turn:
            model.faults.extend(faults)
        return Response(status=204)

    @app.delete("/_simulated/faults")
    def mend() -> Response:
        with turn:
            model.faults.clear()
        return Response(status=204)

    @app.get("/_simulated/requests")
    def asked() -> Response:
        with turn:
            listed = list(requests)
        return Response(to_json(listed), mimetype="application/json")

    @app.delete("/_simulated/requests")
    def overlook() -> Response:
        with turn:
            requests.clear()
        return Response(status=204)

    @app.put("/_simulated/clients")
    def admit() -> Response:
        clients = _content(_CLIENTS)
        if isinstance(clients, Response):
            return clients
        with turn:
            if clients is None:
                model.clients = model.roles = None
            else:
                model.clients = {name: client.secret for name, client in clients.items()}
                model.roles = {name: frozenset(client.roles) for name, client in clients.items()}
        return Response(status=204)

    @app.delete("/_simulated/tokens")
    def expire() -> Response:
        with turn:
            model.expire_tokens()
        return Response(status=204)

    @app.put("/_simulated/limit")
    def limit() -> Response:
        content = _content(_LIMIT)
        if isinstance(content, Response):
            return content
        with turn:
            model.hourly_limit = content.hourly
        return Response(status=204)

    return app


def _content(adapter: TypeAdapter[_Content]) -> _Content | Response:
    """What the body holds, or the answer that says what is wrong with it."""
    try:
        return adapter.validate_json(request.get_data())
    except ValidationError as error:
        problems = error.json(include_url=False, include_input=False)
        return Response(problems, 400, mimetype="application/json")


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
