"""The shop systems' APIs over HTTP, each below its shop's name."""

from __future__ import annotations

from flask import Flask, Response, request

from prisjakt_relay.local.exchange import call_of
from prisjakt_relay.local.shop_systems import ShopSystems

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def create_app(systems: ShopSystems) -> Flask:
    """What a call asks for begins where the shop's own address ends."""
    app = Flask(__name__, static_folder=None)
    app.url_map.merge_slashes = False

    @app.route("/<shop>/", defaults={"path": ""}, methods=_METHODS)
    @app.route("/<shop>/<path:path>", methods=_METHODS)
    def api(shop: str, path: str) -> Response:
        answer = systems.answer(shop, call_of(request, f"/{path}"))
        if answer is None:
            return Response("The relay has no such shop.\n", 404, mimetype="text/plain")
        return Response(answer.content, answer.status, answer.headers)

    return app
