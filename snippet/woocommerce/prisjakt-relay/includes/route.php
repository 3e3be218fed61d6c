<?php
/**
 * The REST route through which the server sets the cookie: Safari keeps a cookie that a script has set for 7 days at
 * most, one that came by HTTP for as long as it says.
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

use WP_Error;
use WP_REST_Request;
use WP_REST_Response;

defined( 'ABSPATH' ) || exit;

const ROUTE_NAMESPACE = 'prisjakt-relay/v1';
const ROUTE           = '/click';

add_action( 'rest_api_init', __NAMESPACE__ . '\register_route' );

/**
 * Adds POST prisjakt-relay/v1/click.
 */
function register_route(): void {
	register_rest_route(
		ROUTE_NAMESPACE,
		ROUTE,
		array(
			'methods'             => 'POST',
			'callback'            => __NAMESPACE__ . '\keep_click',
			// No nonce: landing pages come from caches, where a nonce is stale or somebody else's. All that a forger
			// gains is a cookie in their own browser, which they could have typed there.
			'permission_callback' => '__return_true',
			'args'                => array(
				'pjclid' => array(
					'description'       => __( 'Click id, as it came in the link.', 'prisjakt-relay' ),
					'required'          => true,
					'validate_callback' => __NAMESPACE__ . '\validate_click_id',
				),
				'at'     => array(
					'description'       => __( 'Time of the click in milliseconds since 1970; now, if absent.', 'prisjakt-relay' ),
					'validate_callback' => __NAMESPACE__ . '\validate_time',
				),
				'domain' => array(
					'description' => __( 'Domain of the cookie that the script has set.', 'prisjakt-relay' ),
				),
			),
		)
	);
}

/**
 * Refuses everything that is not a click id.
 *
 * @param mixed $value The field.
 * @return true|WP_Error
 */
function validate_click_id( $value ) {
	return '' !== click_id( $value ) ? true : new WP_Error( 'prisjakt_relay_pjclid', __( 'pjclid is not a click id.', 'prisjakt-relay' ) );
}

/**
 * Refuses what is no number, and clicks that no longer count.
 *
 * @param mixed $value The field.
 * @return true|WP_Error
 */
function validate_time( $value ) {
	if ( ! is_int( $value ) && ! is_float( $value ) ) {
		return new WP_Error( 'prisjakt_relay_at', __( 'at is not a number.', 'prisjakt-relay' ) );
	}

	return seconds_left( $value ) > 0 ? true : new WP_Error( 'prisjakt_relay_at', __( 'at is more than 30 days ago.', 'prisjakt-relay' ) );
}

/**
 * How long a click still counts. A browser's clock may be ahead: a click of the future is one of now.
 *
 * @param int|float $at Time of the click in milliseconds.
 */
function seconds_left( $at ): int {
	return (int) ( LIFETIME - min( LIFETIME, max( 0, time() - $at / 1000 ) ) );
}

/**
 * Sets the click id's cookie, and ends the script's note of the time, which tells the script that the cookie is ours now.
 *
 * @param WP_REST_Request $request The request.
 * @return WP_REST_Response|WP_Error
 */
function keep_click( WP_REST_Request $request ) {
	// WordPress lets other sites call its REST routes, so that one could put its own id in place of the visitor's. Old
	// browsers, and all without TLS, do not say where a request comes from. The risk then is one wrong attribution.
	if ( 'cross-site' === $request->get_header( 'Sec-Fetch-Site' ) ) {
		return new WP_Error( 'prisjakt_relay_cross_site', __( 'Only pages of this shop may do this.', 'prisjakt-relay' ), array( 'status' => 403 ) );
	}

	if ( ! may_keep() ) {
		return new WP_Error( 'prisjakt_relay_consent', __( 'The visitor has not agreed to marketing cookies.', 'prisjakt-relay' ), array( 'status' => 403 ) );
	}

	$at      = $request['at'];
	$ends    = time() + ( null === $at ? LIFETIME : seconds_left( $at ) );
	$domains = cookie_domains( home_url() );

	// The script knows which domain the browser accepts. One cookie is better than one on each level: another language's
	// subdomain could replace only those of the levels that it shares.
	if ( in_array( $request['domain'], $domains, true ) ) {
		$domains = array( $request['domain'] );
	}

	foreach ( $domains as $domain ) {
		set_cookie( COOKIE, $request['pjclid'], $ends, $domain );
		set_cookie( COOKIE_TIME, '', 1, $domain );
	}

	return new WP_REST_Response( null, 204, array( 'Cache-Control' => 'no-store' ) );
}

/**
 * Every domain on which the shop's cookie might sit, widest first.
 *
 * Which of them is the widest that a shop may use is in the public suffix list, which browsers have and PHP has not.
 * Browsers ignore a cookie for a domain like co.uk, so it does no harm to send one.
 *
 * The name is that of the configured address, never the request's Host header, which whoever sends the request may
 * choose. If the visitor came by another name, the browser compares that with ours: shared parents are accepted, all
 * else is ignored, and the script's own cookie stays.
 *
 * @param string $address Address of the shop.
 * @return string[] An empty name stands for "no domain", which is what names without a dot and IP addresses need.
 */
function cookie_domains( string $address ): array {
	$host = strtolower( (string) wp_parse_url( $address, PHP_URL_HOST ) );

	if ( preg_match( '/\A[a-z\d-]+\z/', $host ) || filter_var( trim( $host, '[]' ), FILTER_VALIDATE_IP ) ) {
		return array( '' );
	}

	// A name with letters beyond ASCII, not written in its xn-- form, fits no cookie. The script's own stays.
	if ( ! preg_match( '/\A[a-z\d-]+(\.[a-z\d-]+)+\z/', $host ) ) {
		return array();
	}

	$labels  = explode( '.', $host );
	$domains = array();
	for ( $count = 2; $count <= count( $labels ); $count++ ) {
		$domains[] = implode( '.', array_slice( $labels, -$count ) );
	}

	return $domains;
}

/**
 * Sends one Set-Cookie header. Not HttpOnly: the script has to read the id, and to erase it when consent is withdrawn.
 *
 * @param string $name   Name.
 * @param string $value  Value.
 * @param int    $ends   Unix time.
 * @param string $domain Domain, or an empty string.
 */
function set_cookie( string $name, string $value, int $ends, string $domain ): void {
	setcookie(
		$name,
		$value,
		array(
			'expires'  => $ends,
			'path'     => '/',
			'domain'   => $domain,
			'secure'   => is_ssl(),
			'httponly' => false,
			'samesite' => 'Lax',
		)
	);
}
