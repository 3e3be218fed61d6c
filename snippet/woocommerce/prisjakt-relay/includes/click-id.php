<?php
/**
 * What a click id looks like, and whether it may be kept.
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

defined( 'ABSPATH' ) || exit;

const COOKIE      = 'pjclid';
const COOKIE_TIME = 'pjclid_at';

// Prisjakt attributes purchases within 30 days of the click.
const LIFETIME = 30 * DAY_IN_SECONDS;

/**
 * The click id if the value is exactly one, else an empty string.
 *
 * A version 4 UUID, followed by an underscore and 16 letters or digits; the bare UUID marks a test purchase.
 *
 * @param mixed $value Whatever a visitor sent.
 */
function click_id( $value ): string {
	$form = '/\A[\da-f]{8}-[\da-f]{4}-4[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}(_[\da-z]{16})?\z/i';

	return is_string( $value ) && preg_match( $form, $value ) ? $value : '';
}

/**
 * Either "required" or "none".
 *
 * A typing error in a shop's filter must not switch consent off, so everything but "none" requires it.
 */
function consent_mode(): string {
	/**
	 * Whether visitors have to agree before a click id is kept: "required" (default) or "none".
	 *
	 * @param string $mode Consent mode.
	 */
	return 'none' === apply_filters( 'prisjakt_relay_consent', 'required' ) ? 'none' : 'required';
}

/**
 * Whether this visitor lets the shop keep the click id.
 *
 * Without the WP Consent API only the browser knows; there, the script stores nothing before consent.
 */
function may_keep(): bool {
	return 'none' === consent_mode() || ! function_exists( 'wp_has_consent' ) || wp_has_consent( 'marketing' );
}
