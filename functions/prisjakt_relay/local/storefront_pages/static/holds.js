'use strict';
// The box that shows what the capture script holds. It looks when something happened, and asks for
// the cart only if there is one: a storefront that is asked too often answers 429.
{
  const { platform, root, scripts } = document.body.dataset;
  const runs = scripts === 'yes';
  const told = document.getElementById('told');

  const cookie = (name) => document.cookie.split('; ').find((pair) => pair.startsWith(`${name}=`))?.slice(name.length + 1);
  const show = (name, value, nothing = 'nothing') => {
    const place = document.querySelector(`[data-hold="${name}"]`);
    if (!place) return;
    if (place.textContent !== (value || nothing) && place.textContent !== '…') {
      place.classList.remove('changed');
      void place.offsetWidth;
      place.classList.add('changed');
    }
    place.textContent = value || nothing;
    place.classList.toggle('empty', !value);
  };

  const consent = () => {
    const answer = platform === 'shopify' ? cookie('shopify_banner') : cookie('wp_consent_marketing');
    return { yes: 'accepted', allow: 'accepted', no: 'declined', deny: 'declined' }[answer] ?? '';
  };
  const clicked = () => {
    const at = Number(cookie('pjclid_at'));
    return at ? new Date(at).toISOString().slice(0, 16).replace('T', ' ') + ' UTC' : '';
  };
  const cart = async () => {
    if (platform !== 'shopify') return;
    if (!cookie('cart')) return show('attribute', '', 'no cart yet');
    try {
      const answer = await fetch(`${root}cart.js`);
      show('attribute', (await answer.json()).attributes.pjclid);
    } catch {
      show('attribute', '', 'the cart does not answer');
    }
  };
  const look = () => {
    show('consent', consent(), 'not asked yet');
    show('get', runs ? window.pjclid?.get() : '', runs ? 'nothing' : 'does not run here');
    show('cookie', cookie('pjclid'));
    show('at', clicked(), '–');
    show('field', document.querySelector('input[name=pjclid]')?.value, document.querySelector('input[name=pjclid]') ? 'empty' : 'on the checkout page');
  };

  const note = (event) => {
    told.querySelector('.empty')?.remove();
    const item = document.createElement('li');
    const time = document.createElement('time');
    time.textContent = new Date().toTimeString().slice(0, 8);
    item.append(time, ' ', event.type);
    told.append(item);
    while (told.children.length > 6) told.firstChild.remove();
    setTimeout(look, 0);
  };
  for (const name of ['pjclid:captured', 'pjclid:waiting', 'pjclid:cleared', 'visitorConsentCollected', 'wp_listen_for_consent_change']) {
    document.addEventListener(name, note);
  }
  new PerformanceObserver((list) => {
    if (list.getEntries().some((entry) => entry.name.includes('/cart/'))) cart();
  }).observe({ type: 'resource', buffered: true });
  addEventListener('pageshow', () => {
    look();
    cart();
  });
}
