"""The demo storefront over HTTP: two shops, the way into them, and what Prisjakt received.

The shops behave towards the capture script as Shopify and WooCommerce do, which their pages state:
https://shopify.dev/docs/api/ajax/reference/cart, https://shopify.dev/docs/api/customer-privacy and
https://wordpress.org/plugins/wp-consent-api/. Nothing is loaded from anywhere else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final
from urllib.parse import quote, unquote

from flask import (
    Flask,
    Response,
    abort,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    send_from_directory,
)
from werkzeug.exceptions import NotFound
from werkzeug.wrappers import Response as AnyResponse

from prisjakt_relay.local import project
from prisjakt_relay.local.built_snippet import built, parts
from prisjakt_relay.local.storefront_orders import CURRENCY, SHIPPING, Line, goods
from prisjakt_relay.local.storefront_shops import (
    HOUSES,
    SHOPIFY,
    WOOCOMMERCE,
    Cart,
    House,
    Placed,
    Storefront,
)

CART_COOKIE: Final = "cart"
LANDING_COOKIE: Final = "landing_page"
SESSION_COOKIE: Final = "shop_session"
CONSENT_COOKIE: Final = "wp_consent_marketing"

_COOKIES: Final = (
    CART_COOKIE,
    LANDING_COOKIE,
    SESSION_COOKIE,
    CONSENT_COOKIE,
    "pjclid",
    "pjclid_at",
    "shopify_banner",
)
_LARGEST_FORM: Final = 64 * 1024
_LONGEST_ADDRESS: Final = 2_000
_TWO_WEEKS: Final = 14 * 24 * 3600
_FIELD: Final = re.compile(r"(attributes|updates|cart)\[([^\]]{1,255})\](?:\[qty\])?")
_SCRIPT: Final = re.compile(r"(?:capture|shopify)-[0-9]+(?:\.[0-9]+)*\.js")
_SECURITY: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def create_storefront(storefront: Storefront) -> Flask:
    """All pages; the state is the storefront's, so that two apps may share it."""
    app = Flask(
        __name__,
        template_folder="storefront_pages",
        static_folder="storefront_pages/static",
        static_url_path="/static",
    )
    app.config["MAX_CONTENT_LENGTH"] = _LARGEST_FORM
    app.url_map.strict_slashes = False
    app.jinja_options = {"trim_blocks": True, "lstrip_blocks": True}
    app.add_template_filter(money)
    _add_hall(app, storefront)
    _add_shopify(app, storefront)
    _add_woocommerce(app, storefront)

    @app.context_processor
    def options() -> dict[str, str]:
        """How the command line finds this system."""
        port = request.environ.get("SERVER_PORT")
        return {"local_options": "--local" if port == "8787" else f"--local --port {port}"}

    @app.before_request
    def require_shop() -> tuple[str, int] | None:
        house = HOUSES.get(request.path.split("/")[1])
        if house is None or storefront.relay_shop(house) is not None:
            return None
        page = render_template("missing.html", house=house, elsewhere=storefront.elsewhere)
        return page, 404

    @app.after_request
    def secure(response: Response) -> Response:
        response.headers.update(_SECURITY)
        if response.mimetype in ("text/html", "application/json"):
            response.headers["Cache-Control"] = "no-cache"  # no-store would end going back
        return response

    @app.errorhandler(NotFound)
    def not_found(_: NotFound) -> tuple[str, int]:
        return render_template("error.html"), 404

    return app


def money(amount: Decimal) -> str:
    """Narrow spaces between thousands: `1 299.00 SEK`."""
    return f"{amount:,.2f} {CURRENCY}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def _add_hall(app: Flask, storefront: Storefront) -> None:
    @app.get("/")
    def hall() -> str:
        shops = [(house, storefront.relay_shop(house)) for house in HOUSES.values()]
        sellers = [(house, shop, shop and storefront.loses(shop[0])) for house, shop in shops]
        return render_template("hall.html", sellers=sellers, elsewhere=storefront.elsewhere)

    @app.post("/enter/<platform>")
    def enter(platform: str) -> AnyResponse:
        """The way in: as from a listing at Prisjakt, as a test with a bare UUID, or directly."""
        house = HOUSES.get(platform) or abort(404)
        landing = house.product_path(house.products[0])
        visit = request.form.get("visit", "listing")
        if visit in ("listing", "test"):
            landing += f"?pjclid={storefront.new_click_id(signed=visit == 'listing')}"
        return redirect(landing, 303)

    @app.post("/lose/<platform>")
    def lose(platform: str) -> AnyResponse:
        """Deliveries of a shop get lost from now on, or arrive again."""
        house = HOUSES.get(platform) or abort(404)
        storefront.lose(house, on=request.form.get("deliveries") == "lost")
        return redirect("/", 303)

    @app.post("/start-over")
    def start_over() -> AnyResponse:
        """A browser that was never here: no cookies of either shop, no storage."""
        response = redirect("/", 303)
        labels = request.host.partition(":")[0].split(".")
        domains = [".".join(labels[index:]) for index in range(len(labels))]
        for name in _COOKIES:
            for domain in (None, *domains):
                response.delete_cookie(name, domain=domain)
        response.headers["Clear-Site-Data"] = '"storage"'
        return response

    @app.get("/prisjakt")
    def prisjakt() -> str:
        return render_template("prisjakt.html", elsewhere=storefront.elsewhere)

    @app.get("/prisjakt.json")
    def received() -> Response:
        return jsonify(storefront.received())

    @app.get("/snippet/<name>")
    def snippet(name: str) -> Response:
        """A built part of the capture script, as a shop's own server would have it, or its map."""
        if not _SCRIPT.fullmatch(name.removesuffix(".map")):
            abort(404)
        response = send_from_directory(project.root() / "snippet" / "dist", name)
        response.headers["Cache-Control"] = "no-cache"
        return response

    @app.get("/orders/<token>.json")
    def order_state(token: str) -> Response:
        return jsonify(storefront.order_state(_order(storefront, token)))

    @app.post("/orders/<token>/<any(pay, cancel):change>")
    def change_order(token: str, change: str) -> AnyResponse:
        placed = _order(storefront, token)
        if change == "pay":
            storefront.pay(placed)
        else:
            storefront.cancel(placed)
        return redirect(_thanks(placed), 303)


def _add_shopify(app: Flask, storefront: Storefront) -> None:
    """Shopify's storefront, its Ajax API of the cart included; the checkout runs no theme code."""
    root = SHOPIFY.root

    def found() -> Cart | None:
        return storefront.cart(SHOPIFY, request.cookies.get(CART_COOKIE, ""))

    def own() -> Cart:
        return storefront.cart_or_new(SHOPIFY, request.cookies.get(CART_COOKIE, ""))

    def page(template: str, **more: Any) -> AnyResponse:
        response = make_response(_page(storefront, SHOPIFY, found(), template, **more))
        if LANDING_COOKIE not in request.cookies:
            landing = quote(request.full_path.rstrip("?")[:_LONGEST_ADDRESS])
            response.set_cookie(
                LANDING_COOKIE, landing, max_age=_TWO_WEEKS, httponly=True, samesite="Lax"
            )
        return response

    @app.get(root)
    def shopify_home() -> AnyResponse:
        return page("catalogue.html")

    @app.get(f"{root}products/<handle>")
    def shopify_product(handle: str) -> AnyResponse:
        return page("product.html", product=_product(SHOPIFY, handle))

    @app.get(f"{root}cart")
    def shopify_cart() -> AnyResponse:
        return page("cart.html")

    @app.post(f"{root}cart/add")
    def shopify_add_form() -> AnyResponse:
        cart = own()
        if not storefront.add(SHOPIFY, cart, _whole(request.form.get("id")), _quantity()):
            abort(404)
        return _with_cart(redirect(f"{root}cart", 303), cart)

    @app.post(f"{root}cart")
    def shopify_cart_form() -> AnyResponse:
        cart = own()
        _put_all(storefront, SHOPIFY, cart, _fields("updates"))
        storefront.write_attributes(cart, _fields("attributes"))
        target = "checkout" if "checkout" in request.form else "cart"
        return _with_cart(redirect(f"{root}{target}", 303), cart)

    @app.get(f"{root}cart.js")
    def shopify_cart_js() -> AnyResponse:
        cart = own()
        return _with_cart(jsonify(cart_json(cart)), cart)

    @app.post(f"{root}cart/add.js")
    def shopify_add_js() -> AnyResponse:
        given = _given() or {}
        items = given.get("items", [given])
        if not (isinstance(items, list) and items and all(isinstance(i, dict) for i in items)):
            return _refused(400, "Bad Request", "There is nothing to add")
        cart = own()
        for item in items:
            quantity = _whole(item.get("quantity", 1))
            if not storefront.add(SHOPIFY, cart, _whole(item.get("id")), quantity):
                return _refused(404, "Cart Error", "Cannot find variant")
        added = {_whole(item.get("id")) for item in items}
        rows = [row for row in _items(cart) if row["id"] in added]
        if not rows:
            return _refused(422, "Cart Error", "quantity must be 1 or more")
        return _with_cart(jsonify({"items": rows} if "items" in given else rows[0]), cart)

    @app.post(f"{root}cart/update.js")
    def shopify_update_js() -> AnyResponse:
        """Attributes and quantities; what is not named stays, "" blanks a value."""
        given = _given()
        if given is None:
            return _refused(400, "Bad Request", "The body is not JSON")
        attributes, updates = given.get("attributes") or {}, given.get("updates") or {}
        if not (isinstance(attributes, dict) and isinstance(updates, dict)):
            return _refused(400, "Bad Request", "attributes and updates are objects")
        cart = own()
        if not storefront.write_attributes(cart, {str(k): _text(v) for k, v in attributes.items()}):
            return _refused(422, "Cart Error", "There are too many attributes, or one is too long")
        _put_all(storefront, SHOPIFY, cart, updates)
        return _with_cart(jsonify(cart_json(cart)), cart)

    @app.post(f"{root}cart/clear.js")
    def shopify_clear_js() -> AnyResponse:
        """Takes the lines out; attributes stay."""
        cart = own()
        _put_all(storefront, SHOPIFY, cart, {product.id: 0 for product in SHOPIFY.products})
        return _with_cart(jsonify(cart_json(cart)), cart)

    @app.get(f"{root}checkout")
    def shopify_checkout() -> AnyResponse:
        cart = found()
        if cart is None or not cart.lines(SHOPIFY):
            return redirect(f"{root}cart", 303)
        return page("checkout.html", runs_scripts=False)

    @app.post(f"{root}checkout")
    def shopify_order() -> AnyResponse:
        cart = found()
        landing = unquote(request.cookies.get(LANDING_COOKIE, "")) or None
        placed = cart and storefront.place_at_shopify(cart, landing, paid=_is_paid())
        if not placed:
            return redirect(f"{root}cart", 303)
        return _with_cart(redirect(_thanks(placed), 303), storefront.cart_or_new(SHOPIFY, ""))

    @app.get(f"{root}thank-you/<token>")
    def shopify_thanks(token: str) -> AnyResponse:
        placed = _order(storefront, token, SHOPIFY)
        return page("order.html", placed=placed, runs_scripts=False)


def _add_woocommerce(app: Flask, storefront: Storefront) -> None:
    """WooCommerce's classic shop: plain forms, and a session that the server keeps."""
    root = WOOCOMMERCE.root

    def own() -> Cart:
        token = request.cookies.get(SESSION_COOKIE, "")
        return storefront.cart_or_new(WOOCOMMERCE, token, request.url[:_LONGEST_ADDRESS])

    def with_session(response: AnyResponse, cart: Cart) -> AnyResponse:
        response.set_cookie(SESSION_COOKIE, cart.token, httponly=True, samesite="Lax")
        return response

    def page(template: str, **more: Any) -> AnyResponse:
        cart = own()
        rendered = _page(storefront, WOOCOMMERCE, cart, template, **more)
        return with_session(make_response(rendered), cart)

    @app.get(root)
    def woocommerce_home() -> AnyResponse:
        return page("catalogue.html")

    @app.get(f"{root}product/<handle>")
    def woocommerce_product(handle: str) -> AnyResponse:
        return page("product.html", product=_product(WOOCOMMERCE, handle))

    @app.get(f"{root}cart")
    def woocommerce_cart() -> AnyResponse:
        return page("cart.html")

    @app.post(f"{root}cart")
    def woocommerce_cart_form() -> AnyResponse:
        cart = own()
        if "add-to-cart" in request.form:
            product_id = _whole(request.form["add-to-cart"])
            if not storefront.add(WOOCOMMERCE, cart, product_id, _quantity()):
                abort(404)
        _put_all(storefront, WOOCOMMERCE, cart, _fields("cart"))
        target = "checkout" if "checkout" in request.form else "cart"
        return with_session(redirect(f"{root}{target}", 303), cart)

    @app.get(f"{root}checkout")
    def woocommerce_checkout() -> AnyResponse:
        if not own().lines(WOOCOMMERCE):
            return redirect(f"{root}cart", 303)
        return page("checkout.html")

    @app.post(f"{root}checkout")
    def woocommerce_order() -> AnyResponse:
        """The click id comes in the cookie, as the plugin reads it, or else in the form."""
        cart = own()
        placed = storefront.place_at_woocommerce(
            cart,
            (request.cookies.get("pjclid", ""), request.form.get("pjclid", "")),
            consent=request.cookies.get(CONSENT_COOKIE) == "allow",
            paid=_is_paid(),
        )
        return with_session(redirect(_thanks(placed) if placed else f"{root}cart", 303), cart)

    @app.get(f"{root}checkout/order-received/<token>")
    def woocommerce_thanks(token: str) -> AnyResponse:
        return page("order.html", placed=_order(storefront, token, WOOCOMMERCE))


def cart_json(cart: Cart) -> dict[str, object]:
    """The cart as Shopify's Ajax API shows it; private attributes stay on the server."""
    lines = cart.lines(SHOPIFY)
    total = _cents(goods(lines))
    return {
        "token": cart.token,
        "note": None,
        "attributes": {k: v for k, v in cart.attributes.items() if not k.startswith("__")},
        "original_total_price": total,
        "total_price": total,
        "total_discount": 0,
        "total_weight": 0,
        "item_count": sum(line.quantity for line in lines),
        "items": _items(cart),
        "requires_shipping": bool(lines),
        "currency": CURRENCY,
        "items_subtotal_price": total,
        "cart_level_discount_applications": [],
    }


def _items(cart: Cart) -> list[dict[str, object]]:
    return [_item(line) for line in cart.lines(SHOPIFY)]


def _item(line: Line) -> dict[str, object]:
    product = line.product
    return {
        "id": product.id,
        "variant_id": product.id,
        "product_id": product.id - 1,
        "key": f"{product.id}:{product.sku}",
        "quantity": line.quantity,
        "title": f"{product.name} - {product.variant}",
        "product_title": product.name,
        "variant_title": product.variant,
        "handle": product.handle,
        "sku": product.sku,
        "price": _cents(product.price),
        "line_price": _cents(line.total),
        "final_line_price": _cents(line.total),
        "url": SHOPIFY.product_path(product),
        "properties": {},
        "gift_card": False,
        "requires_shipping": True,
    }


def scripts(house: House) -> list[str]:
    """The newest built file of each part of the capture script, as far as they are built."""
    versions = [built(part) for part in parts(house.platform)]
    return [files[-1].name for files in versions if files]


def _page(
    storefront: Storefront, house: House, cart: Cart | None, template: str, **more: Any
) -> str:
    relay_shop = storefront.relay_shop(house)
    lines = cart.lines(house) if cart else ()
    context: dict[str, Any] = {
        "house": house,
        "relay_shop": relay_shop[0] if relay_shop else "",
        "shop": relay_shop[1] if relay_shop else None,
        "elsewhere": storefront.elsewhere,
        "lines": lines,
        "count": sum(line.quantity for line in lines),
        "goods": goods(lines),
        "shipping": SHIPPING,
        "total": goods(lines) + SHIPPING,
        "runs_scripts": True,
        "scripts": scripts(house),
    }
    return render_template(template, **(context | more))


def _product(house: House, handle: str) -> Any:
    found = next((each for each in house.products if each.handle == handle), None)
    return found or abort(404)


def _order(storefront: Storefront, token: str, house: House | None = None) -> Placed:
    placed = storefront.placed(token)
    if placed is None or house not in (None, placed.house):
        abort(404)
    return placed


def _thanks(placed: Placed) -> str:
    folder = "thank-you" if placed.house is SHOPIFY else "checkout/order-received"
    return f"{placed.house.root}{folder}/{placed.purchase.token}"


def _with_cart(response: AnyResponse, cart: Cart) -> AnyResponse:
    """Every answer about a cart names it, where scripts can read it, for two more weeks."""
    response.set_cookie(CART_COOKIE, cart.token, max_age=_TWO_WEEKS, samesite="Lax")
    return response


def _refused(status: int, message: str, description: str) -> AnyResponse:
    answer = {"status": status, "message": message, "description": description}
    return make_response(jsonify(answer), status)


def _given() -> dict[str, Any] | None:
    """What an Ajax call brings, as JSON or as a form; None if it is neither."""
    if request.is_json:
        content = request.get_json(silent=True)
        return content if isinstance(content, dict) else None
    form: dict[str, Any] = dict(request.form.items())
    return form | {name: _fields(name) for name in ("attributes", "updates")}


def _fields(group: str) -> dict[str, str]:
    """The form's fields called `group[name]`, or `group[name][qty]`, by name."""
    found = ((_FIELD.fullmatch(name), value) for name, value in request.form.items())
    return {match[2]: value for match, value in found if match and match[1] == group}


def _put_all(
    storefront: Storefront, house: House, cart: Cart, quantities: Mapping[Any, object]
) -> None:
    for product_id, quantity in quantities.items():
        storefront.put(house, cart, _whole(product_id), _whole(quantity))


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _whole(value: object) -> int:
    """A number that a form or a script named; 0, which is no id and no quantity, if it is none."""
    text = str(value)
    return int(text) if re.fullmatch(r"[0-9]{1,18}", text) else 0


def _quantity() -> int:
    return _whole(request.form.get("quantity", "1")) or 1


def _is_paid() -> bool:
    return request.form.get("payment", "now") != "later"


def _cents(amount: Decimal) -> int:
    return int(amount * 100)
