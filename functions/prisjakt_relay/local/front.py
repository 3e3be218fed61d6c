"""The front of the local system: the address that shops send to, as on AWS."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any, Final

import urllib3
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication

Environ = dict[str, Any]

_LARGEST_BODY: Final = 10 * 1024 * 1024  # API Gateway's own limit
_LONGEST_SECONDS: Final = 29  # and so is this
_AT_ONCE: Final = max(2, os.cpu_count() or 2)  # each is a process of its own that has to start
_PAGES_AT_ONCE: Final = 4
_HOP_BY_HOP: Final = frozenset({"connection", "content-length", "keep-alive", "transfer-encoding"})
_STATUS_WORDS: Final = {200: "OK"}


class Front:
    """Hands webhooks to the HTTP API of the embedded AWS, every header and byte as it came.

    Everything that is not below `/webhooks` is for `pages`.
    """

    def __init__(
        self,
        port: int,
        aws_host: str,
        aws_port: int,
        path: str,
        pages: WSGIApplication,
    ) -> None:
        self._pool = urllib3.HTTPConnectionPool(aws_host, aws_port, maxsize=_AT_ONCE, retries=False)
        self._path = path
        self._pages = pages
        self._turns = BoundedSemaphore(_AT_ONCE)
        self._server = create_server(
            self._answer,
            host="127.0.0.1",
            port=port,
            threads=_AT_ONCE + _PAGES_AT_ONCE,
            connection_limit=1000,
            backlog=1024,
            ident=None,
            max_request_body_size=_LARGEST_BODY,
        )
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # a full queue is no fault
        self._thread = Thread(target=self._run, name="front", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._server.run()
        except OSError:
            return  # closed under the loop: that is how waitress ends

    def _answer(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        if not _is_webhook(environ["PATH_INFO"]):
            return self._pages(environ, start_response)
        with self._turns:
            return self._hand_on(environ, start_response)

    def _hand_on(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        body = environ["wsgi.input"].read()
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        if "CONTENT_TYPE" in environ:
            headers["content-type"] = environ["CONTENT_TYPE"]
        if not _is_text(body):
            # The HTTP API hands bytes that are no text to the function in base64; ministack
            # decides by the content type alone.
            headers["content-type"] = "application/octet-stream"
        try:
            response = self._pool.urlopen(
                environ["REQUEST_METHOD"],
                self._path + environ["REQUEST_URI"],
                body=body,
                headers={k: v for k, v in headers.items() if k not in _HOP_BY_HOP},
                timeout=_LONGEST_SECONDS,
            )
        except urllib3.exceptions.HTTPError:
            start_response("503 Service Unavailable", [("content-type", "application/json")])
            return [b'{"message":"Service Unavailable"}']
        start_response(
            f"{response.status} {_STATUS_WORDS.get(response.status, 'Answer')}",
            [(k, v) for k, v in response.headers.items() if k.lower() not in _HOP_BY_HOP],
        )
        return [response.data]

    def close(self) -> None:
        self._server.close()
        self._server.task_dispatcher.shutdown(cancel_pending=True, timeout=1)
        self._thread.join(2)
        for channel in list(self._server.active_channels.values()):
            channel.handle_close()  # waitress leaves them open, and whoever reuses one waits
        self._pool.close()


def _is_webhook(path: str) -> bool:
    return f"{path}/".startswith("/webhooks/")


def _is_text(body: bytes) -> bool:
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
