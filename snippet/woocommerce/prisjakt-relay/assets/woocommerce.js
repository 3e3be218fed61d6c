'use strict';
{
  // Safari keeps the server's cookie longer than a script's.
  const route = document.currentScript?.dataset.route;

  const hand = () => {
    try {
      const id = window.pjclid.get();
      const at = parseInt(document.cookie.split('pjclid_at=')[1]);
      if (!route || !id || !at) return;
      try {
        if (sessionStorage.pjclid == id) return;
        sessionStorage.pjclid = id;
      } catch {}
      // Only browsers know which parents of the host may have cookies.
      const domain = location.hostname.split('.').map((_, i, all) => all.slice(-2 - i).join('.')).find((parent) => {
        const probe = (age) => (document.cookie = `pjclid_on=1;domain=${parent};path=/;max-age=${age}`);
        probe(9);
        const sticks = /pjclid_on/.test(document.cookie);
        probe(0);
        return sticks;
      });
      const body = JSON.stringify({ pjclid: id, at, domain });
      fetch(route, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body, keepalive: true })
        // If consent was withdrawn meanwhile, the answer has brought the cookie back.
        .then(() => window.pjclid.get() || window.pjclid.clear())
        .catch(() => {});
    } catch {}
  };

  addEventListener('pjclid:captured', hand);
  addEventListener('pjclid:cleared', () => {
    try {
      delete sessionStorage.pjclid;
    } catch {}
  });
  // A banner has said whether visitors have to agree at all: asking for the id makes capture.js ask again.
  addEventListener('wp_consent_type_defined', hand, true);
  hand();
}
