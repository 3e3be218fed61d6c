<?php
/**
 * Plugin Name: Prisjakt relay for WooCommerce
 * Description: Keeps the click id that Prisjakt puts into its links, with the visitor's consent, and writes it on the order, so that the relay can report the purchase.
 * Version: 1.0.0
 * Requires at least: 6.3
 * Requires PHP: 7.4
 * Requires Plugins: woocommerce
 * WC requires at least: 8.5
 * WC tested up to: 11.0
 * License: MIT
 * License URI: https://opensource.org/license/mit
 * Text Domain: prisjakt-relay
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

defined( 'ABSPATH' ) || exit;

// A second copy in another folder must not take the shop down, so this file declares no function either.
if ( defined( __NAMESPACE__ . '\VERSION' ) ) {
	return;
}

const VERSION     = '1.0.0';
const PLUGIN_FILE = __FILE__;

add_action(
	'plugins_loaded',
	static function () {
		// WordPress before 6.5 does not know "Requires Plugins". Without a checkout there is nothing to keep an id for.
		if ( ! class_exists( 'WooCommerce' ) ) {
			return;
		}

		require_once __DIR__ . '/includes/click-id.php';
		require_once __DIR__ . '/includes/scripts.php';
		require_once __DIR__ . '/includes/route.php';
		require_once __DIR__ . '/includes/orders.php';
		require_once __DIR__ . '/includes/declarations.php';
	}
);
