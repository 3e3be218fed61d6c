<?php
/**
 * Writes the click id on orders, from where WooCommerce's webhook takes it to the relay.
 *
 * @package Prisjakt_Relay
 */

namespace Prisjakt_Relay;

use WC_Order;

defined( 'ABSPATH' ) || exit;

const ORDER_META = 'pjclid';

// Each fires for one checkout only: the classic form, and the block with everything else that uses the Store API.
add_action( 'woocommerce_checkout_create_order', __NAMESPACE__ . '\mark_order' );
add_action( 'woocommerce_store_api_checkout_update_order_meta', __NAMESPACE__ . '\mark_order' );

/**
 * Gives the order the click id of the visitor who places it, or takes away an earlier one.
 *
 * An order may have one already: the block checkout keeps a draft, and both take up an order again whose payment has
 * failed. If consent was withdrawn in between, the id has to go.
 *
 * Both checkouts save the order after their hook, so it is not saved here: the classic one's is not yet in the database.
 *
 * @param WC_Order|mixed $order The order; the block checkout looks only after its hook whether it really has one.
 */
function mark_order( $order ): void {
	if ( ! $order instanceof WC_Order ) {
		return;
	}

	$id = visitors_click_id();

	if ( '' !== $id ) {
		$order->update_meta_data( ORDER_META, $id );
	} else {
		$order->delete_meta_data( ORDER_META );
	}
}

/**
 * The click id of the visitor's cookie, or an empty string. Rubbish in it is no reason to disturb a checkout.
 */
function visitors_click_id(): string {
	if ( ! isset( $_COOKIE[ COOKIE ] ) || ! may_keep() ) {
		return '';
	}

	// Validated instead of sanitised: a sanitiser would turn some rubbish into an id.
	return click_id( wp_unslash( $_COOKIE[ COOKIE ] ) ); // phpcs:ignore WordPress.Security.ValidatedSanitizedInput.InputNotSanitized
}
