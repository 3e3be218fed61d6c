'use strict';
// The WP Consent API as a consent plugin sets it up for Europe: nothing is allowed until it is.
{
  const valueOf = (category) => new RegExp(`(?:^|; )wp_consent_${category}=(allow|deny)`).exec(document.cookie)?.[1] ?? '';

  window.wp_consent_type = 'optin';
  window.wp_has_consent = (category) => category === 'functional' || valueOf(category) === 'allow';
  window.wp_set_consent = (category, value) => {
    document.cookie = `wp_consent_${category}=${value}; path=/; max-age=2592000; samesite=lax`;
    document.dispatchEvent(new CustomEvent('wp_listen_for_consent_change', { detail: { [category]: value } }));
  };
  document.addEventListener('DOMContentLoaded', () => document.dispatchEvent(new CustomEvent('wp_consent_type_defined')));
}
