"""A shop on loopback, on every host name, that includes the snippet and notes what it is asked."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal
from urllib.parse import urlsplit

from prisjakt_relay.local.built_snippet import built

DEADLINE = 30.0  # of what always comes
HELD = 60.0  # seconds for which an answer is held back, unless a test releases it
HTML = "text/html; charset=utf-8"
JSON = "application/json; charset=utf-8"
SCRIPT = "text/javascript; charset=utf-8"
CART = "hWN2Hw%3Fkey%3D4f1d0c"  # the form of Shopify's tokens

# Runs before everything else on a page: notes what the snippet does to it. `settled` resolves when
# no request and no timer of the page is outstanding any more.
WITNESS = """
{
  const witness = window.witness = { errors: [], writes: [], events: [], fetches: [], pending: 0 };
  const later = window.setTimeout.bind(window);

  const failed = (event) => witness.errors.push(event.message || 'not loaded: ' + event.target.src);
  addEventListener('error', failed, true);
  addEventListener('unhandledrejection', (event) => witness.errors.push(String(event.reason)));
  const say = console.error;
  console.error = (...words) => {
    witness.errors.push(words.join(' '));
    say.apply(console, words);
  };
  for (const name of ['captured', 'waiting', 'cleared'])
    addEventListener('pjclid:' + name, () => witness.events.push(name));

  const how = HOW_COOKIES_DO;
  const jar = Object.getOwnPropertyDescriptor(Document.prototype, 'cookie');
  const refuse = () => { throw new DOMException('no cookies here', 'SecurityError'); };
  Object.defineProperty(Document.prototype, 'cookie', {
    configurable: true,
    enumerable: true,
    get() { return how == 'work' ? jar.get.call(this) : how == 'throw' ? refuse() : ''; },
    set(text) {
      witness.writes.push(text);
      if (how == 'throw') refuse();
      if (how == 'work') jar.set.call(this, text);
    },
  });
  if (how == 'throw')
    for (const name of ['localStorage', 'sessionStorage'])
      Object.defineProperty(window, name, { configurable: true, get: refuse });

  const now = NOW;
  if (now) {
    const Real = Date;
    window.Date = class extends Real {
      constructor(...parts) { if (parts.length) super(...parts); else super(now); }
      static now() { return now; }
    };
  }

  const fetch = window.fetch;
  window.fetch = (...request) => {
    witness.fetches.push(String(request[0]?.url ?? request[0]));
    witness.pending++;
    const answer = fetch.apply(window, request);
    const done = () => witness.pending--;
    answer.then(done, done);
    return answer;
  };
  window.setTimeout = (call, wait, ...rest) => {
    if (wait > 5000) return later(call, wait, ...rest); // WebKit's driver watches over scripts so
    witness.pending++;
    return later(() => { witness.pending--; call(...rest); }, wait);
  };
  witness.settled = async () => {
    for (let quiet = 0; quiet < 3; quiet = witness.pending ? 0 : quiet + 1)
      await new Promise((go) => later(go, 0));
  };
}
"""
SNAPSHOT = """
witness.globals = Object.getOwnPropertyNames(window);
witness.fetch = window.fetch;
"""
STOPWATCH = (
    "witness.start = performance.now();",
    "witness.evaluated = performance.now() - witness.start;",
)

Cookies = Literal["work", "throw", "ignore"]
Load = Literal["defer", "async", "inline"]
CartAnswer = Literal["ok", "conflict", "challenge", "error", "page", "hang"]


@dataclass(frozen=True)
class Storefront:
    """What the shop's pages consist of."""

    consent: str | None = "none"  # `data-consent`, absent if None
    snippets: tuple[str, ...] = ("capture",)
    load: Load = "defer"
    before: str = ""  # script ahead of the snippet: consent libraries, Shopify's own
    body: str = ""
    clock: int | None = None  # ms since 1970, at which the page's clock stands still
    cookies: Cookies = "work"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Request:
    """Something the shop was asked."""

    method: str
    host: str
    path: str  # without the query
    query: str
    headers: dict[str, str]  # by lower-case name
    body: str


class Site:
    """The shop: what its pages are, how its cart answers, what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.tls_port = 0
        self.requests: list[Request] = []
        self.reset()

    def reset(self) -> None:
        """A shop as it was before the first visitor."""
        self.storefront = Storefront()
        self.others: dict[str, Storefront] = {}  # by path
        self.cart_answer: CartAnswer = "ok"
        self.cart_token = CART
        self.released = threading.Event()
        self._changed = threading.Condition()
        self.requests.clear()

    def address(self, host: str, path: str, scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.tls_port if scheme == 'https' else self.port}{path}"

    def asked(self, ending: str) -> list[Request]:
        """What was asked with a path that ends so."""
        return [request for request in tuple(self.requests) if request.path.endswith(ending)]

    def note(self, request: Request) -> None:
        with self._changed:
            self.requests.append(request)
            self._changed.notify_all()

    def wait_for(self, ending: str, number: int = 1) -> list[Request]:
        """What was asked with a path that ends so, once there is enough of it."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.asked(ending)) >= number, DEADLINE), (
                f"{ending} was asked {len(self.asked(ending))} times, not {number}"
            )
        return self.asked(ending)

    def page(self, path: str) -> str:
        """The HTML of a page."""
        shown = self.others.get(path, self.storefront)
        witness = WITNESS.replace("HOW_COOKIES_DO", json.dumps(shown.cookies)).replace(
            "NOW", json.dumps(shown.clock)
        )
        tags = "\n".join(tag(name, shown) for name in shown.snippets)
        return (
            "<!doctype html>\n<html lang=sv>\n<head>\n<meta charset=utf-8>\n<title>Shop</title>\n"
            f"<link rel=icon href=data:,>\n<script>{witness}</script>\n"
            f"<script>{shown.before}</script>\n<script>{SNAPSHOT}</script>\n"
            f"{tags}\n</head>\n<body>\n{shown.body}\n</body>\n</html>\n"
        )


def source(name: str) -> str:
    """A built snippet, of the only version there is."""
    (file,) = built(name)
    return file.read_text("utf-8")


def tag(name: str, shown: Storefront) -> str:
    """The tag that a shop pastes."""
    consent = "" if shown.consent is None else f' data-consent="{shown.consent}"'
    if shown.load == "inline":
        before, after = (f"<script>{reading}</script>" for reading in STOPWATCH)
        return f"{before}<script{consent}>{source(name)}</script>{after}"
    return f'<script src="/{name}.js" {shown.load}{consent}></script>'


class Handler(BaseHTTPRequestHandler):
    """Answers for the site of its server."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    site: Site

    def do_GET(self) -> None:
        path = self._note().path
        if path.endswith(".js"):
            self._answer(200, SCRIPT, source(path.removeprefix("/").removesuffix(".js")))
        else:
            headers = self.site.others.get(path, self.site.storefront).headers
            self._answer(200, HTML, self.site.page(path), *headers)

    def do_POST(self) -> None:
        request = self._note()
        if not request.path.endswith("/cart/update.js"):
            self._answer(204, HTML, "")  # the page stays where it is
            return
        answer = self.site.cart_answer
        if answer == "hang":
            # Answered in the end: a POST whose connection breaks is sent again by some browsers.
            self.site.released.wait(HELD)
            answer = "ok"
        match answer:
            case "ok":
                token = self.site.cart_token
                cart = {"token": token, "attributes": {}, "items": []}
                self._answer(200, JSON, json.dumps(cart), ("Set-Cookie", f"cart={token}; path=/"))
            case "conflict":
                self._answer(409, JSON, '{"status": 409, "message": "Conflict"}')
            case "challenge":
                self._answer(429, HTML, "<!doctype html><title>Just a moment</title>")
            case "error":
                self._answer(500, HTML, "<!doctype html><title>Sorry</title>")
            case "page":
                self._answer(200, HTML, "<!doctype html><title>Maintenance</title>")

    def _note(self) -> Request:
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode("utf-8")
        parts = urlsplit(self.path)
        request = Request(
            method=self.command,
            host=self.headers.get("host", "").partition(":")[0],
            path=parts.path,
            query=parts.query,
            headers={name.lower(): value for name, value in self.headers.items()},
            body=body,
        )
        self.site.note(request)
        return request

    def _answer(self, status: int, kind: str, text: str, *headers: tuple[str, str]) -> None:
        body = text.encode("utf-8")
        self.send_response(status)
        for name, value in (
            ("Content-Type", kind),
            ("Content-Length", str(len(body))),
            ("Cache-Control", "no-store"),
            *headers,
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: a failing test says more."""


class Server(ThreadingHTTPServer):
    """A browser that leaves in the middle of an answer is no error."""

    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Nothing: what the browser did not get, it says."""


@contextmanager
def serve() -> Iterator[Site]:
    """The shop, over http and over https with a certificate that nobody signed."""
    site = Site()
    handler = type("SiteHandler", (Handler,), {"site": site})
    plain, secure = (Server(("127.0.0.1", 0), handler) for _ in range(2))
    secure.socket = self_signed().wrap_socket(
        secure.socket, server_side=True, do_handshake_on_connect=False
    )
    site.port, site.tls_port = plain.server_port, secure.server_port
    threads = [threading.Thread(target=server.serve_forever) for server in (plain, secure)]
    for thread in threads:
        thread.start()
    try:
        yield site
    finally:
        site.released.set()
        for server in (plain, secure):
            server.shutdown()
            server.server_close()
        for thread in threads:
            thread.join()


def self_signed() -> ssl.SSLContext:
    """A key and a certificate made for this run."""
    openssl = shutil.which("openssl")
    assert openssl, "not installed: openssl"
    with TemporaryDirectory() as folder:
        key, certificate = Path(folder, "key.pem"), Path(folder, "certificate.pem")
        subprocess.run(  # noqa: S603
            [
                *(openssl, "req", "-x509", "-nodes", "-newkey", "ec"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-days", "2"),
                *("-subj", "/CN=shop.localhost"),
                *("-addext", "subjectAltName=DNS:shop.localhost,DNS:*.shop.localhost"),
                *("-keyout", str(key), "-out", str(certificate)),
            ],
            check=True,
            capture_output=True,
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    return context
