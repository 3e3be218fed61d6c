<?php
/**
 * What the plugin tells WooCommerce, consent plugins and the shop's privacy page about itself.
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

use Automattic\WooCommerce\Utilities\FeaturesUtil;

defined( 'ABSPATH' ) || exit;

add_action( 'before_woocommerce_init', __NAMESPACE__ . '\declare_compatibility' );
add_filter( 'wp_consent_api_registered_' . plugin_basename( PLUGIN_FILE ), '__return_true' );
add_action( 'init', __NAMESPACE__ . '\declare_cookies' );
add_action( 'admin_init', __NAMESPACE__ . '\suggest_privacy_text' );

/**
 * Orders are only touched through WC_Order, and both checkouts are served.
 */
function declare_compatibility(): void {
	if ( class_exists( FeaturesUtil::class ) ) {
		FeaturesUtil::declare_compatibility( 'custom_order_tables', PLUGIN_FILE, true );
		FeaturesUtil::declare_compatibility( 'cart_checkout_blocks', PLUGIN_FILE, true );
	}
}

/**
 * Describes the cookies for consent plugins that list them.
 */
function declare_cookies(): void {
	if ( ! function_exists( 'wp_add_cookie_info' ) ) {
		return;
	}

	$purposes = array(
		COOKIE      => __( 'Keeps the click id of a link from Prisjakt, so that a purchase can be reported to Prisjakt.', 'prisjakt-relay' ),
		COOKIE_TIME => __( 'Keeps the time of that click, so that the click id is forgotten after 30 days.', 'prisjakt-relay' ),
	);

	foreach ( $purposes as $name => $purpose ) {
		wp_add_cookie_info( $name, 'Prisjakt', 'marketing', __( '30 days', 'prisjakt-relay' ), $purpose, __( 'An identifier of the click', 'prisjakt-relay' ) );
	}
}

/**
 * Suggests a paragraph for the shop's privacy page.
 */
function suggest_privacy_text(): void {
	$paragraphs = array(
		__( 'When you come to this shop through a link on Prisjakt (in some countries PriceSpy, Prisjagt, Hintaopas or leDénicheur), the link carries an identifier of your click. If you agree to marketing cookies, we keep this click id in the cookies pjclid and pjclid_at for up to 30 days after the click. If you withdraw your consent, they are erased.', 'prisjakt-relay' ),
		__( 'If you place an order within that time, the click id is stored with the order, and we send it to Prisjakt together with an identifier and the time of the order, its amount and currency, and the number of items. Your name, your address, your contact details and what you bought are not sent. The purpose is to find out which purchases came of links on Prisjakt.', 'prisjakt-relay' ),
		__( 'The recipient is Prisjakt. Prisjakt and we are joint controllers for this processing (Article 26 GDPR); it is based on your consent (Article 6(1)(a) GDPR). You may turn to us or to Prisjakt with questions and requests about it. What Prisjakt uses the data for is in its privacy policy.', 'prisjakt-relay' ),
	);

	wp_add_privacy_policy_content( 'Prisjakt relay', '<p>' . implode( '</p><p>', array_map( 'esc_html', $paragraphs ) ) . '</p>' );
}
