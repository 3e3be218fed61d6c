/**
 * Puts the click id that capture.js keeps onto the Shopify cart, whose attributes end up on the order.
 *
 * One small request per click id and cart, as soon as the visitor has consented; never more than one a page view for
 * the same value, and never in the way of somebody else's cart request. If it fails, the next page view tries again.
 *
 * It stands before capture.js, so that it hears what that one has to say from the start.
 */
'use strict';
{
  let sent; // what this page view has tried to write
  let wiped = ''; // not empty once somebody else's update has wiped the attribute
  let last = Promise.resolve(); // the request before: none overtakes another

  // The cart's token, without the key that Shopify appends to it.
  let cart = () => /; cart=([^;%?]*)/.exec('; ' + document.cookie)?.[1];

  let settle = async ({ type, detail, attributes = detail?.attributes, promise = detail?.promise } = {}) => {
    try {
      if (type == 'shopify:cart:attributes-update') {
        // It carries the whole new set, and replaces the old one: https://shopify.dev/docs/api/storefront-events-and-actions
        await promise;
        if (JSON.stringify(attributes)?.includes('"pjclid"')) return;
        wiped = '!';
      }
      let id = window.pjclid.get();
      // What the cart holds: id and cart; '?' for perhaps an id; '-' for an id that has to go, since consent was withdrawn.
      // An id that is merely gone from the browser, as Safari does it after 7 days, stays on the cart.
      let mark = localStorage.pjclid_cart && type == 'pjclid:cleared' ? '-' : localStorage.pjclid_cart;
      if (sent != id + wiped && (id ? mark + wiped != id + cart() : mark == '-')) {
        sent = id + wiped;
        localStorage.pjclid_cart = id ? '?' : '-';
        let response = await (last = last
          .then(() =>
            fetch((Shopify.routes?.root ?? '/') + 'cart/update.js', {
              method: 'POST',
              headers: { 'Content-Type': 'application/json' },
              body: JSON.stringify({ attributes: { pjclid: id } }),
              keepalive: true,
            }),
          )
          .catch(() => {}));
        await response.json(); // Shopify's bot check answers with a page
        if (response.ok && sent == id + wiped) localStorage.pjclid_cart = id && id + cart();
      }
    } catch {} // no network, no storage, no JSON: the next page view tries again
  };

  for (let name of ['pjclid:captured', 'pjclid:cleared', 'pageshow', 'shopify:cart:attributes-update'])
    addEventListener(name, settle);
  // Asking for the id makes capture.js ask for consent again, now that there is somebody to answer. Shopify's loader is
  // a deferred script, so that it may be there only once the page is parsed.
  let ask = () => {
    try {
      Shopify.loadFeatures([{ name: 'consent-tracking-api', version: '0.1' }], () => settle());
    } catch {} // no such API: the id is on the cart once the page is loaded
  };
  ask();
  addEventListener('DOMContentLoaded', ask);
}
