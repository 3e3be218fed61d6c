'use strict';
// What a Shopify storefront brings along, as far as a capture script meets it: the routes, and the
// Customer Privacy API, which is there only after somebody asked for it.
{
  const COOKIE = 'shopify_banner';
  const answer = () => /(?:^|; )shopify_banner=(yes|no)/.exec(document.cookie)?.[1] ?? '';
  const allowed = () => answer() === 'yes';

  const customerPrivacy = {
    marketingAllowed: allowed,
    analyticsProcessingAllowed: allowed,
    preferencesProcessingAllowed: allowed,
    saleOfDataAllowed: () => true,
    shouldShowBanner: () => answer() === '',
    currentVisitorConsent: () => ({ marketing: answer(), analytics: answer(), preferences: answer(), sale_of_data: '' }),
    setTrackingConsent(consent, callback) {
      document.cookie = `${COOKIE}=${consent.marketing ? 'yes' : 'no'}; path=/; max-age=31536000; samesite=lax`;
      const detail = {
        marketingAllowed: allowed(),
        analyticsAllowed: allowed(),
        preferencesAllowed: allowed(),
        saleOfDataAllowed: true,
      };
      document.dispatchEvent(new CustomEvent('visitorConsentCollected', { detail }));
      callback?.({});
    },
  };

  window.Shopify = {
    shop: 'prisjakt-relay-demo.myshopify.com',
    routes: { root: document.currentScript.dataset.root },
    currency: { active: 'SEK', rate: '1.0' },
    loadFeatures(features, callback) {
      setTimeout(() => {
        const known = features.every((feature) => feature.name === 'consent-tracking-api' && feature.version === '0.1');
        if (known) window.Shopify.customerPrivacy = customerPrivacy;
        callback?.(known ? undefined : new Error('There is no such feature'));
      }, 20);
    },
  };
}
