'use strict';
// A cookie banner that speaks to whichever consent API the shop has.
{
  const banner = document.getElementById('banner');
  const opener = document.getElementById('change-answer');
  const shopify = {
    ready: (then) => window.Shopify.loadFeatures([{ name: 'consent-tracking-api', version: '0.1' }], (error) => error || then()),
    isOpen: () => window.Shopify.customerPrivacy.shouldShowBanner(),
    answer: (yes) =>
      window.Shopify.customerPrivacy.setTrackingConsent({ marketing: yes, analytics: yes, preferences: yes }, () => {}),
  };
  const wordpress = {
    ready: (then) => then(),
    isOpen: () => !document.cookie.includes('wp_consent_marketing='),
    answer: (yes) => window.wp_set_consent('marketing', yes ? 'allow' : 'deny'),
  };
  const consent = document.body.dataset.platform === 'shopify' ? shopify : wordpress;

  const show = (open) => {
    banner.hidden = !open;
    document.body.classList.toggle('asked', open);
  };
  for (const button of banner.querySelectorAll('[data-answer]')) {
    button.addEventListener('click', () => {
      consent.answer(button.dataset.answer === 'yes');
      show(false);
      opener.focus({ preventScroll: true });
    });
  }
  opener.addEventListener('click', () => {
    show(true);
    document.getElementById('banner-title').focus();
  });
  consent.ready(() => show(consent.isOpen()));
}
