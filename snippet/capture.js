/**
 * Keeps the click id that Prisjakt puts on the landing address, until the order.
 *
 * The id lands as `?pjclid=…`. With the visitor's consent it goes into the cookie `pjclid`, for 30 days from the click;
 * without, it lives in this page's memory only. Settings are `data-` attributes of the script's own tag:
 *
 *   data-consent="required"  (default) wait for Shopify's Customer Privacy API, the WP Consent API or pjclid.grant()
 *   data-consent="none"      store at once: the shop's own decision
 *
 * docs/snippet.md has a table of what it does when. It is written for few bytes after compression: hence `let` only, one
 * function that does all, and an order of names that looks like chance.
 */
'use strict';
{
  // The last word of this page, which goes before that of a consent tool; undefined leaves it to the tool.
  let word = { none: true }[document.currentScript?.dataset.consent];

  let id; // the click id of this page: landed, stored, or from Prisjakt's own script; '' for none
  let at; // when its click was, in ms; not a number where the server keeps the cookie
  let seen; // the id in the address that was dealt with: so clear() does not bring it back
  let kept; // what the cookie held when this page last looked
  let told; // consent and id at the last change

  // In an address, or in a list of cookies that starts with '; '. A v4 UUID, then `_` and 16 letters or digits; without them
  // it marks a test purchase. The last of several. Nothing else is ever taken, so that no value needs escaping, and the
  // anchor keeps hostile addresses from costing time.
  let find = (text) =>
    /^(?:h.*[?&#]|.*; )pjclid=([\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}(_[\da-z]{16})?)(?=; |[&#]|$)/i.exec(
      text,
    )?.[1] ?? '';

  /** Brings address, consent, cookie and form fields into agreement. Returns the id that may be used, or ''. */
  let look = (event) => {
    let value = '';
    try {
      // true, false, or undefined while nobody has said anything.
      let consent =
        word ?? window.Shopify?.customerPrivacy?.marketingAllowed?.() ?? window.wp_has_consent?.('marketing');
      let landed = find(location.href);
      let stored = find('; ' + document.cookie);
      if (kept != stored) {
        // The first look, or another page has changed it: a tab, or one before this came back from the browser's cache.
        id = kept = stored;
        seen ??= stored;
        at = parseInt(document.cookie.split('pjclid_at=')[1]);
      }
      // What Prisjakt's own script keeps; its `expires` is 30 days after the click. Not at the start, since a browser
      // may take milliseconds to open this storage.
      if (event && consent && !id)
        try {
          let pixel = JSON.parse(localStorage.pjpixel_conversion);
          id = find('; pjclid=' + pixel.clickId);
          at = new Date(pixel.expires) - 2592e6;
        } catch {} // none there, or none allowed
      if (Date.now() > at + 2592e6) id = '';
      if (landed && landed != seen) {
        id = seen = landed;
        at = Date.now();
      }
      // Yes: this id. No: none. Unknown: what was stored with an earlier consent.
      value = consent ? id : (consent ?? (id && stored)) || '';
      for (let input of document.getElementsByName('pjclid')) input.value = value;
      if (told != (told = consent + id)) {
        // With consent also once a page view without any change: Safari forgets after 7 days what a script has stored.
        // A cookie without a time is the server's, which lasts longer; it is left alone. So is what stands beside an id
        // that has vanished: whoever erased it has erased that too, and one that was only out of sight comes back.
        if (value != stored || (value && consent && at))
          // Domain by domain, the widest first, the host by itself last: set, or erase if a wider one has stuck. The time
          // tells, erased first so that it is not a narrower one's. Never the id itself where it is to live: WebKit tells
          // the page of each change again, a while later and one by one, and between an erasure and what was set after it
          // there would be no id. Not the top-level domain, which no browser takes, and Firefox would complain.
          ('.' + location.hostname).split('.').reduceRight((rest, label) => {
            let domain = label && label + '.' + rest;
            let end = 0;
            for (let pair of ['_at=' + at, '=' + id, '_at=' + at]) {
              document.cookie =
                'pjclid' +
                pair +
                ';domain=' +
                domain +
                ';samesite=lax;path=/;expires=' +
                new Date(+end).toGMTString() +
                (location.protocol == 'https:' ? ';secure' : '');
              end = value && !document.cookie.includes('pjclid_at=' + at) && at + 2592e6;
            }
            return domain;
          });
        kept = find('; ' + document.cookie);
        let change = value != stored ? (value ? 'captured' : 'cleared') : id != value && 'waiting';
        if (change) document.dispatchEvent(new Event('pjclid:' + change, { bubbles: true }));
      }
    } catch {} // Whatever a browser forbids: the shop's page goes on.
    return value;
  };

  window.pjclid = {
    clear: () => look((id = '')),
    grant: () => look((word = true)),
    get: look,
    revoke: () => look((word = false)),
  };

  for (let name of 'wp_listen_for_consent_change replaceState pageshow pushState popstate visitorConsentCollected submit'.split(
    ' ',
  )) {
    addEventListener(name, look, true);
    let original = history[name];
    if (original)
      history[name] = (a, b, c) => {
        original.call(history, a, b, c);
        look();
      };
  }
  look();
}
