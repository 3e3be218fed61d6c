<?php
/**
 * Puts the capture script, and the script that hands the id to the server, on each page of the storefront.
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

defined( 'ABSPATH' ) || exit;

const CAPTURE_SCRIPT = 'prisjakt-relay-capture';
const HAND_SCRIPT    = 'prisjakt-relay-woocommerce';

add_action( 'wp_enqueue_scripts', __NAMESPACE__ . '\enqueue_scripts' );
add_filter( 'script_loader_tag', __NAMESPACE__ . '\mark_script_tag', 10, 2 );

/**
 * Deferred: does not hold up the page, keeps the order of the two, and runs when scripts of the footer, such as the
 * WP Consent API, are there to be asked.
 */
function enqueue_scripts(): void {
	if ( is_admin() ) {
		return;
	}

	$in_head = array(
		'in_footer' => false,
		'strategy'  => 'defer',
	);

	wp_enqueue_script( CAPTURE_SCRIPT, plugins_url( 'assets/capture.js', PLUGIN_FILE ), array(), VERSION, $in_head );
	wp_enqueue_script( HAND_SCRIPT, plugins_url( 'assets/woocommerce.js', PLUGIN_FILE ), array( CAPTURE_SCRIPT ), VERSION, $in_head );
}

/**
 * Gives the two scripts their settings, and asks optimisers to leave them alone: a script that waits for the visitor's
 * first movement misses those who leave the landing page by a link.
 *
 * Settings are attributes because the scripts read them from their own tag. No value depends on the visitor, so that the
 * page can be cached.
 *
 * @param string $tag    The tag, with inline scripts that others attached around it.
 * @param string $handle Name of the script.
 */
function mark_script_tag( $tag, $handle ) {
	if ( CAPTURE_SCRIPT === $handle ) {
		$attributes = array( 'data-consent' => consent_mode() );
	} elseif ( HAND_SCRIPT === $handle ) {
		// Relative, because a page of www.shop.example may not post to shop.example.
		$attributes = array( 'data-route' => wp_make_link_relative( rest_url( ROUTE_NAMESPACE . ROUTE ) ) );
	} else {
		return $tag;
	}

	$attributes += array(
		'data-cfasync'     => 'false', // Cloudflare Rocket Loader, which wants it before src.
		'nowprocket'       => '1', // WP Rocket.
		'data-no-optimize' => '1', // LiteSpeed Cache, as is the next.
		'data-no-defer'    => '1',
	);

	$printed = '';
	foreach ( $attributes as $name => $value ) {
		$printed .= sprintf( ' %s="%s"', $name, esc_attr( $value ) );
	}

	return preg_replace_callback(
		'/<script(?=[^>]*\ssrc=)/',
		static function ( $start ) use ( $printed ) {
			return $start[0] . $printed;
		},
		$tag,
		1
	);
}
