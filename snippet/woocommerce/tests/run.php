<?php
/**
 * Tests of the plugin: php snippet/woocommerce/tests/run.php [words of a test's name]
 *
 * @package Prisjakt_Relay
 */

// PHP looks for a function in the plugin's namespace first: so a test sets the clock, and sees cookies instead of sending them.
namespace Prisjakt_Relay {

	use World;

	function time() {
		return World::$now;
	}

	function setcookie( $name, $value, array $options ) {
		World::$cookies[] = array( $name, $value ) + array( 'options' => $options );
		return true;
	}

	function function_exists( $name ) {
		return ! in_array( $name, World::$absent, true ) && \function_exists( $name );
	}

	function class_exists( $name ) {
		return ! in_array( $name, World::$absent, true ) && \class_exists( $name );
	}
}

namespace {

	require __DIR__ . '/stand_ins.php';

	error_reporting( E_ALL );
	set_error_handler(
		static function ( $level, $message, $file, $line ) {
			throw new ErrorException( $message, 0, $level, $file, $line );
		}
	);

	const ID    = '239cd31f-2a3b-4c5d-8e6f-708192a3b4c5_1b05fa7f1c34d125';
	const OTHER = '7d444840-9dc0-41d1-b245-5ffdce74fad2';
	const CLICK = '/prisjakt-relay/v1/click';
	const DAY   = 86400;

	const CHECKOUTS = array(
		'classic' => 'woocommerce_checkout_create_order',
		'block'   => 'woocommerce_store_api_checkout_update_order_meta',
	);

	$tests = array();

	function test( $promise, callable $body ) {
		global $tests;
		$tests[ $promise ] = $body;
	}

	function same( $expected, $actual, $what = '' ) {
		if ( $expected !== $actual ) {
			throw new Exception( trim( $what . ' expected ' . var_export( $expected, true ) . ', got ' . var_export( $actual, true ) ) );
		}
	}

	function contains( $part, $text ) {
		if ( false === strpos( $text, $part ) ) {
			throw new Exception( "expected '$part' in '$text'" );
		}
	}

	function check_out( $checkout, $order = null ) {
		$order = $order ?? new WC_Order();
		do_action( CHECKOUTS[ $checkout ], $order, array( 'payment_method' => 'cod' ) );
		return $order;
	}

	function post( array $fields, array $headers = array() ) {
		return dispatch( 'POST', CLICK, $fields, $headers );
	}

	/** Refused for this field, with a word to whoever reads the answer, and without a cookie. */
	function refused_for( $field, array $answer, $what = '' ) {
		same( array( 400, 'rest_invalid_param', array( $field ) ), array( $answer[0], $answer[1]['code'], array_keys( $answer[1]['data']['params'] ) ), $what );
		contains( $field, $answer[1]['data']['params'][ $field ] );
		same( array(), World::$cookies, $what );
	}

	function milliseconds( $seconds_ago ) {
		return 1000 * ( World::$now - $seconds_ago );
	}

	/** The tags as WordPress prints them: single quotes up to 6.3, double quotes since. */
	function printed_tags( $quote = '"', $around = '' ) {
		do_action( 'wp_enqueue_scripts' );
		$tags = array();
		foreach ( World::$scripts as $handle => list( $src ) ) {
			$tag             = $around . str_replace( '"', $quote, "<script src=\"$src\" id=\"$handle-js\" defer></script>\n" );
			$tags[ $handle ] = apply_filters( 'script_loader_tag', $tag, $handle, $src );
		}
		return $tags;
	}

	/** All files of the plugin with this ending. */
	function plugin_files( $ending ) {
		$all = array();
		foreach ( new RecursiveIteratorIterator( new RecursiveDirectoryIterator( dirname( PLUGIN ), FilesystemIterator::SKIP_DOTS ) ) as $file ) {
			if ( $file->getExtension() === $ending ) {
				$all[] = $file->getPathname();
			}
		}
		sort( $all );
		return $all;
	}

	function hostile_ids() {
		return array(
			'an array'            => array( ID ),
			'a nested array'      => array( array( 'a' => ID ) ),
			'nothing'             => '',
			'a space in front'    => ' ' . ID,
			'a space behind'      => ID . ' ',
			'a line feed'         => ID . "\n",
			'a header'            => ID . "\r\nSet-Cookie: admin=1",
			'a second cookie'     => ID . '; admin=1',
			'a semicolon'         => ID . ';',
			'a null byte'         => ID . "\0",
			'percent codes'       => str_replace( '_', '%5F', ID ),
			'broken UTF-8'        => "\xff\xfe\xc3\x28",
			'broken UTF-8 behind' => ID . "\xc3",
			'another alphabet'    => 'идентификатор',
			'version 1'           => '239cd31f-2a3b-1c5d-8e6f-708192a3b4c5',
			'a wrong variant'     => '239cd31f-2a3b-4c5d-ce6f-708192a3b4c5_1b05fa7f1c34d125',
			'something behind'    => ID . 'x',
			'something in front'  => 'x' . ID,
			'two ids'             => ID . ',' . ID,
			'a quote'             => "' OR 1=1 --",
			'a tag'               => '<script>alert(1)</script>',
			'a serialised object' => 'O:8:"stdClass":0:{}',
			'10 kB'               => str_repeat( '239cd31f-', 1138 ),
			'10 kB behind'        => ID . str_repeat( 'a', 10240 ),
		);
	}

	// The plugin as a whole.

	test(
		'files are sound PHP, and print nothing outside WordPress',
		static function () {
			$files = plugin_files( 'php' );
			same( true, count( $files ) >= 6 );
			foreach ( $files as $file ) {
				exec( escapeshellarg( PHP_BINARY ) . ' -l ' . escapeshellarg( $file ) . ' 2>&1', $lint, $code );
				same( 0, $code, $file . implode( "\n", $lint ) );

				$printed = array();
				exec( escapeshellarg( PHP_BINARY ) . ' -d display_errors=1 ' . escapeshellarg( $file ) . ' 2>&1', $printed, $code );
				same( array( array(), 0 ), array( $printed, $code ), $file );
			}
		}
	);

	test(
		'the syntax is that of PHP 7.4',
		static function () {
			$later = array( 'T_MATCH', 'T_ENUM', 'T_READONLY', 'T_ATTRIBUTE', 'T_NULLSAFE_OBJECT_OPERATOR' );
			foreach ( plugin_files( 'php' ) as $file ) {
				$names = array_map(
					static function ( $token ) {
						return is_array( $token ) ? token_name( $token[0] ) : $token;
					},
					token_get_all( file_get_contents( $file ) )
				);
				same( array(), array_values( array_intersect( $later, $names ) ), $file );
			}
		}
	);

	test(
		'header, constant and readme.txt name the same versions',
		static function () {
			$header = file_get_contents( PLUGIN );
			$readme = file_get_contents( dirname( PLUGIN ) . '/readme.txt' );

			contains( "\n * Version: " . Prisjakt_Relay\VERSION . "\n", $header );
			contains( "\nStable tag: " . Prisjakt_Relay\VERSION . "\n", $readme );
			foreach ( array( 'Requires at least: 6.3', 'Requires PHP: 7.4', 'License: MIT' ) as $line ) {
				contains( "\n * $line\n", $header );
				contains( "\n$line\n", $readme );
			}
			foreach ( array( 'Requires Plugins: woocommerce', 'WC requires at least: 8.5', 'WC tested up to: 11.0', 'Text Domain: prisjakt-relay' ) as $line ) {
				contains( "\n * $line\n", $header );
			}
		}
	);

	test(
		'loading the plugin twice, or a second copy of it, changes nothing',
		static function () {
			$hooks = World::$hooks;
			$copy  = sys_get_temp_dir() . '/prisjakt-relay-' . getmypid();
			exec( 'cp -R ' . escapeshellarg( dirname( PLUGIN ) ) . ' ' . escapeshellarg( $copy ) );

			try {
				require PLUGIN;
				require $copy . '/prisjakt-relay.php';
				do_action( 'plugins_loaded' );
			} finally {
				exec( 'rm -rf ' . escapeshellarg( $copy ) );
			}

			same( $hooks, World::$hooks );
		}
	);

	test(
		'without WooCommerce nothing is hooked up',
		static function () {
			$code = 'namespace Prisjakt_Relay { function class_exists( $name ) { return %s; } }
				namespace {
					require %s;
					require PLUGIN;
					do_action( "plugins_loaded" );
					echo implode( " ", array_keys( World::$hooks ) );
				}';

			foreach ( array( 'false', 'true' ) as $there ) {
				$code_now = sprintf( $code, $there, var_export( __DIR__ . '/stand_ins.php', true ) );
				$printed  = array();
				exec( escapeshellarg( PHP_BINARY ) . ' -r ' . escapeshellarg( $code_now ) . ' 2>&1', $printed );
				same( 'false' === $there, array( 'plugins_loaded' ) === $printed, "WooCommerce there: $there" );
			}
		}
	);

	test(
		'both kinds of order storage and both checkouts are declared compatible',
		static function () {
			do_action( 'before_woocommerce_init' );
			$expected = array( realpath( PLUGIN ), true );
			$actual   = array_map(
				static function ( $declared ) {
					return array( realpath( $declared[0] ), $declared[1] );
				},
				World::$features
			);
			same( array( 'custom_order_tables' => $expected, 'cart_checkout_blocks' => $expected ), $actual );

			World::$features = array();
			World::$absent   = array( 'Automattic\WooCommerce\Utilities\FeaturesUtil' );
			do_action( 'before_woocommerce_init' );
			same( array(), World::$features );
		}
	);

	test(
		'the WP Consent API hears of the plugin and of its cookies',
		static function () {
			same( true, apply_filters( 'wp_consent_api_registered_prisjakt-relay/prisjakt-relay.php', false ) );

			do_action( 'init' );
			same( array( 'pjclid', 'pjclid_at' ), array_keys( World::$listed ) );
			foreach ( World::$listed as $description ) {
				same( array( 'Prisjakt', 'marketing', '30 days' ), array_slice( $description, 1, 3 ) );
			}

			World::$listed = array();
			World::$absent = array( 'wp_add_cookie_info' );
			do_action( 'init' );
			same( array(), World::$listed );
		}
	);

	test(
		'the suggested privacy text names recipient, joint controller, duration and purpose',
		static function () {
			do_action( 'admin_init' );
			$text = World::$policies['Prisjakt relay'];
			foreach ( array( 'recipient is Prisjakt', 'joint controllers', '30 days', 'consent', 'pjclid', 'which purchases came of' ) as $part ) {
				contains( $part, $text );
			}
			same( strip_tags( $text, '<p>' ), $text );
		}
	);

	// Script tags.

	test(
		'each page gets the two scripts in its head, deferred and in order',
		static function () {
			do_action( 'wp_enqueue_scripts' );
			same( array( 'prisjakt-relay-capture', 'prisjakt-relay-woocommerce' ), array_keys( World::$scripts ) );

			list( $capture, $hand ) = array_values( World::$scripts );
			same( 'https://shop.example/wp-content/plugins/prisjakt-relay/assets/capture.js?ver=1.0.0', $capture[0] );
			same( 'https://shop.example/wp-content/plugins/prisjakt-relay/assets/woocommerce.js?ver=1.0.0', $hand[0] );
			same( array( 'prisjakt-relay-capture' ), $hand[1] );
			foreach ( array( $capture, $hand ) as $script ) {
				same( array( 'in_footer' => false, 'strategy' => 'defer' ), $script[2] );
			}
		}
	);

	test(
		'no script in the administration',
		static function () {
			World::$admin = true;
			do_action( 'wp_enqueue_scripts' );
			same( array(), World::$scripts );
		}
	);

	test(
		'the tags carry their settings, before src',
		static function () {
			$leave = 'data-cfasync="false" nowprocket="1" data-no-optimize="1" data-no-defer="1"';
			foreach ( array( '"', "'" ) as $quote ) {
				$tags = printed_tags( $quote );
				same( 0, strpos( $tags['prisjakt-relay-capture'], "<script data-consent=\"required\" $leave src=$quote" ) );
				same( 0, strpos( $tags['prisjakt-relay-woocommerce'], "<script data-route=\"/wp-json/prisjakt-relay/v1/click\" $leave src=$quote" ) );
			}
		}
	);

	test(
		'inline scripts around the tag, and other scripts, stay as they are',
		static function () {
			$inline = "<script id='x-js-before'>\nvar a = '<b src=1>';\n</script>\n";
			$tag    = printed_tags( '"', $inline )['prisjakt-relay-capture'];
			same( 0, strpos( $tag, $inline . '<script data-consent="required" ' ) );
			same( 1, substr_count( $tag, 'data-consent' ) );

			$other = "<script src='https://shop.example/other.js' id='other-js'></script>\n";
			same( $other, apply_filters( 'script_loader_tag', $other, 'other', 'https://shop.example/other.js' ) );
		}
	);

	test(
		'only exactly "none" switches consent off',
		static function () {
			foreach ( array( 'none', 'None', 'NONE', ' none', 'no', '', '0', 0, null, false, true, array( 'none' ), '"><script>' ) as $value ) {
				World::$hooks['prisjakt_relay_consent'] = array();
				add_filter(
					'prisjakt_relay_consent',
					static function () use ( $value ) {
						return $value;
					}
				);
				$expected = 'none' === $value ? 'none' : 'required';
				contains( "<script data-consent=\"$expected\" data-cfasync", printed_tags()['prisjakt-relay-capture'] );
			}
		}
	);

	test(
		'the address of the route is relative, and escaped',
		static function () {
			World::$home = 'https://www.shop.example/sv';
			contains( ' data-route="/sv/wp-json/prisjakt-relay/v1/click" ', printed_tags()['prisjakt-relay-woocommerce'] );

			World::$rest = '/index.php?a="><b>$0&rest_route=/';
			contains( ' data-route="/sv/index.php?a=&quot;&gt;&lt;b&gt;$0&amp;rest_route=/prisjakt-relay/v1/click" ', printed_tags()['prisjakt-relay-woocommerce'] );
		}
	);

	test(
		'the capture script is a released one, and our own stays small',
		static function () {
			$released = array_map( 'file_get_contents', glob( __DIR__ . '/../../dist/capture-*.js' ) );
			same( true, in_array( file_get_contents( dirname( PLUGIN ) . '/assets/capture.js' ), $released, true ) );

			$own = file_get_contents( dirname( PLUGIN ) . '/assets/woocommerce.js' );
			same( true, strlen( $own ) < 2048 );
			same( 0, strpos( $own, "'use strict';" ) );
		}
	);

	// Click ids.

	test(
		'click ids are recognised as in the browser',
		static function () {
			$ids = json_decode( file_get_contents( __DIR__ . '/click_ids.json' ), true, 512, JSON_THROW_ON_ERROR );
			same( true, count( $ids ) >= 25 );

			// The script's expression is one for PHP too. It finds an id in an address, here it has to be the whole value.
			same( 1, preg_match( '~/\^.*pjclid=.*/i(?=\.exec)~', file_get_contents( __DIR__ . '/../../capture.js' ), $script ), 'expression in capture.js:' );

			foreach ( $ids as list( 'value' => $value, 'valid' => $valid ) ) {
				$expected = $valid ? $value : '';
				same( $expected, Prisjakt_Relay\click_id( $value ), $value );
				same( $expected, preg_match( $script[0], "https://shop.example/?pjclid=$value", $found ) ? $found[1] : '', "capture.js: $value" );
			}
		}
	);

	test(
		'nothing but a click id is one',
		static function () {
			foreach ( hostile_ids() + array( 'null' => null, 'true' => true, 'a number' => 4, 'an object' => new stdClass() ) as $what => $value ) {
				same( '', Prisjakt_Relay\click_id( $value ), $what );
			}
		}
	);

	// Orders.

	foreach ( array_keys( CHECKOUTS ) as $checkout ) {
		test(
			"$checkout: the order gets the id of the cookie, and is left to WooCommerce to save",
			static function () use ( $checkout ) {
				foreach ( array( ID, OTHER, strtoupper( ID ) ) as $id ) {
					$_COOKIE['pjclid'] = $id;
					$order             = check_out( $checkout, new WC_Order( array( 'colour' => 'red' ) ) );
					same( array( array( 'colour' => 'red', 'pjclid' => $id ), 0 ), array( $order->meta, $order->saves ) );
				}
			}
		);

		test(
			"$checkout: without a cookie the order gets nothing",
			static function () use ( $checkout ) {
				same( array(), check_out( $checkout )->meta );
			}
		);

		test(
			"$checkout: rubbish in the cookie is ignored without a word",
			static function () use ( $checkout ) {
				foreach ( hostile_ids() as $what => $value ) {
					$_COOKIE['pjclid'] = $value;
					same( array(), check_out( $checkout )->meta, $what );
				}
			}
		);

		test(
			"$checkout: WordPress' slashes are taken off before validation",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = addslashes( "'" . ID );
				same( array(), check_out( $checkout )->meta );

				$_COOKIE['pjclid'] = addslashes( ID );
				same( array( 'pjclid' => ID ), check_out( $checkout )->meta );
			}
		);

		test(
			"$checkout: a new click replaces the id of an order that is taken up again",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = OTHER;
				same( array( 'pjclid' => OTHER ), check_out( $checkout, new WC_Order( array( 'pjclid' => ID ) ) )->meta );
			}
		);

		test(
			"$checkout: without consent the order gets nothing",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = ID;
				World::$consent    = false;
				same( array(), check_out( $checkout )->meta );
			}
		);

		test(
			"$checkout: withdrawn consent takes the id from an order that is taken up again",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = ID;
				World::$consent    = false;
				same( array( 'colour' => 'red' ), check_out( $checkout, new WC_Order( array( 'pjclid' => ID, 'colour' => 'red' ) ) )->meta );

				// Without the WP Consent API, the script has erased the cookie.
				unset( $_COOKIE['pjclid'] );
				World::$absent = array( 'wp_has_consent' );
				same( array(), check_out( $checkout, new WC_Order( array( 'pjclid' => ID ) ) )->meta );
			}
		);

		test(
			"$checkout: without the WP Consent API the cookie is the proof of consent",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = ID;
				World::$consent    = false;
				World::$absent     = array( 'wp_has_consent' );
				same( array( 'pjclid' => ID ), check_out( $checkout )->meta );
			}
		);

		test(
			"$checkout: a shop that needs no consent does not ask for it",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = ID;
				World::$consent    = false;
				add_filter(
					'prisjakt_relay_consent',
					static function () {
						return 'none';
					}
				);
				same( array( 'pjclid' => ID ), check_out( $checkout )->meta );
			}
		);

		test(
			"$checkout: something else in place of an order is left alone",
			static function () use ( $checkout ) {
				$_COOKIE['pjclid'] = ID;
				foreach ( array( null, false, 17, 'order', array(), new stdClass(), new WP_Error( 'no_order' ) ) as $thing ) {
					do_action( CHECKOUTS[ $checkout ], $thing, array() );
				}
			}
		);
	}

	// The route.

	test(
		'route: a click id becomes a cookie of the shop for 30 days',
		static function () {
			same( array( 204, null, array( 'Cache-Control' => 'no-store' ) ), post( array( 'pjclid' => ID, 'at' => milliseconds( 0 ) ) ) );

			$options = array(
				'expires'  => World::$now + 30 * DAY,
				'path'     => '/',
				'domain'   => 'shop.example',
				'secure'   => true,
				'httponly' => false,
				'samesite' => 'Lax',
			);
			same(
				array(
					array( 'pjclid', ID, 'options' => $options ),
					array( 'pjclid_at', '', 'options' => array( 'expires' => 1 ) + $options ),
				),
				World::$cookies
			);
		}
	);

	test(
		'route: on an address without TLS the cookie is not Secure',
		static function () {
			World::$ssl = false;
			same( 204, post( array( 'pjclid' => ID ) )[0] );
			foreach ( World::$cookies as $cookie ) {
				same( false, $cookie['options']['secure'] );
			}
		}
	);

	test(
		'route: the cookie ends 30 days after the click, never later',
		static function () {
			$lifetimes = array(
				'now'            => array( milliseconds( 0 ), 30 * DAY ),
				'absent'         => array( null, 30 * DAY ),
				'ten days ago'   => array( milliseconds( 10 * DAY ), 20 * DAY ),
				'half a second'  => array( milliseconds( 0 ) - 500, 30 * DAY - 1 ),
				'a fraction'     => array( milliseconds( DAY ) + 0.5, 29 * DAY ),
				'about to end'   => array( milliseconds( 30 * DAY - 1 ), 1 ),
				'tomorrow'       => array( milliseconds( -DAY ), 30 * DAY ),
				'the far future' => array( 1e300, 30 * DAY ),
				'no end'         => array( INF, 30 * DAY ),
			);
			foreach ( $lifetimes as $what => list( $at, $seconds ) ) {
				World::$cookies = array();
				same( 204, post( array( 'pjclid' => ID, 'at' => $at ) )[0], $what );
				same( World::$now + $seconds, World::$cookies[0]['options']['expires'], $what );
			}
		}
	);

	test(
		'route: a click that no longer counts is refused, as is a time that is none',
		static function () {
			$times = array( milliseconds( 30 * DAY ), milliseconds( 31 * DAY ), 0, -1, -1e300, -INF, '', '1800000000000', 'now', true, array( 1 ), array( 'a' => 1 ) );
			foreach ( $times as $at ) {
				refused_for( 'at', post( array( 'pjclid' => ID, 'at' => $at ) ), var_export( $at, true ) );
			}
		}
	);

	test(
		'route: what is no click id is refused',
		static function () {
			foreach ( hostile_ids() as $what => $value ) {
				refused_for( 'pjclid', post( array( 'pjclid' => $value, 'at' => milliseconds( 0 ) ) ), $what );
			}
			foreach ( array( 4, 1.5, true ) as $value ) {
				refused_for( 'pjclid', post( array( 'pjclid' => $value ) ) );
			}
			foreach ( array( array(), array( 'pjclid' => null ), array( 'clickId' => ID ) ) as $fields ) {
				same( array( 400, array( 'pjclid' ) ), array( post( $fields )[0], post( $fields )[1]['data']['params'] ) );
			}
			same( array(), World::$cookies );
		}
	);

	test(
		'route: only POST, for everybody',
		static function () {
			foreach ( array( 'GET', 'PUT', 'PATCH', 'DELETE' ) as $method ) {
				same( 404, dispatch( $method, CLICK, array( 'pjclid' => ID ) )[0] );
			}
			same( array( CLICK ), array_keys( World::$routes ) );
			same( '__return_true', World::$routes[ CLICK ]['permission_callback'] );
		}
	);

	test(
		'route: other sites are refused',
		static function () {
			list( $status, $answer ) = post( array( 'pjclid' => ID ), array( 'Sec-Fetch-Site' => 'cross-site' ) );
			same( array( 403, 'prisjakt_relay_cross_site', array() ), array( $status, $answer['code'], World::$cookies ) );

			foreach ( array( 'same-origin', 'same-site', 'none' ) as $site ) {
				same( 204, post( array( 'pjclid' => ID ), array( 'Sec-Fetch-Site' => $site ) )[0] );
			}
		}
	);

	test(
		'route: without consent there is no cookie',
		static function () {
			World::$consent          = false;
			list( $status, $answer ) = post( array( 'pjclid' => ID ) );
			same( array( 403, 'prisjakt_relay_consent', array() ), array( $status, $answer['code'], World::$cookies ) );

			World::$absent = array( 'wp_has_consent' );
			same( 204, post( array( 'pjclid' => ID ) )[0] );

			World::$absent = array();
			add_filter(
				'prisjakt_relay_consent',
				static function () {
					return 'none';
				}
			);
			same( 204, post( array( 'pjclid' => ID ) )[0] );
		}
	);

	test(
		'route: cookies go to every parent domain that might be the widest',
		static function () {
			$domains = array(
				'https://shop.example'             => array( 'shop.example' ),
				'https://www.shop.example/sv/'     => array( 'shop.example', 'www.shop.example' ),
				'https://a.b.shop.co.uk:8443'      => array( 'co.uk', 'shop.co.uk', 'b.shop.co.uk', 'a.b.shop.co.uk' ),
				'https://WWW.Shop.Example'         => array( 'shop.example', 'www.shop.example' ),
				'https://xn--blbr-roah.example'    => array( 'xn--blbr-roah.example' ),
				'http://localhost:8080'            => array( '' ),
				'http://127.0.0.1'                 => array( '' ),
				'http://[::1]:8080'                => array( '' ),
				'https://blåbär.example'           => array(),
				'https://shop.example;x.example'   => array(),
				"https://shop.exa\r\nX: y.example" => array(),
				'https://shop..example'            => array(),
				'https://.example'                 => array(),
				'http://shop_internal'             => array(),
				'not an address'                   => array(),
				''                                 => array(),
			);
			foreach ( $domains as $home => $expected ) {
				World::$home    = $home;
				World::$cookies = array();
				same( 204, post( array( 'pjclid' => ID ) )[0], $home );

				$names = array();
				foreach ( World::$cookies as $cookie ) {
					$names[ $cookie[0] ][] = $cookie['options']['domain'];
				}
				same( $expected ? array( 'pjclid' => $expected, 'pjclid_at' => $expected ) : array(), $names, $home );
			}
		}
	);

	test(
		'route: of these, the one that the browser has found is enough',
		static function () {
			World::$home = 'https://www.shop.co.uk';
			$all         = array( 'co.uk', 'shop.co.uk', 'www.shop.co.uk' );
			$chosen      = array(
				array( 'shop.co.uk', array( 'shop.co.uk' ) ),
				array( 'www.shop.co.uk', array( 'www.shop.co.uk' ) ),
				array( 'elsewhere.example', $all ),
				array( 'uk', $all ),
				array( '', $all ),
				array( null, $all ),
				array( true, $all ),
				array( 0, $all ),
				array( array( 'shop.co.uk' ), $all ),
				array( "shop.co.uk\r\nX: y", $all ),
			);
			foreach ( $chosen as list( $domain, $expected ) ) {
				World::$cookies = array();
				same( 204, post( array( 'pjclid' => ID, 'domain' => $domain ) )[0] );
				$domains = array();
				foreach ( World::$cookies as $cookie ) {
					$domains[] = $cookie['options']['domain'];
				}
				same( $expected, array_values( array_unique( $domains ) ), var_export( $domain, true ) );
			}
		}
	);

	test(
		'route: a forged Host header changes nothing',
		static function () {
			$_SERVER['HTTP_HOST']   = 'evil.example';
			$_SERVER['SERVER_NAME'] = 'evil.example';
			same( 204, post( array( 'pjclid' => ID ), array( 'Host' => 'evil.example', 'X-Forwarded-Host' => 'evil.example' ) )[0] );
			foreach ( World::$cookies as $cookie ) {
				same( 'shop.example', $cookie['options']['domain'] );
			}
		}
	);

	test(
		'route: over HTTP the headers are exactly these',
		static function () {
			$socket = stream_socket_server( 'tcp://127.0.0.1:0' );
			$host   = stream_socket_get_name( $socket, false );
			fclose( $socket );

			$server = proc_open(
				array( PHP_BINARY, '-d', 'display_errors=1', '-S', $host, __DIR__ . '/server.php' ),
				array( 1 => array( 'file', '/dev/null', 'w' ), 2 => array( 'file', '/dev/null', 'w' ) ),
				$pipes,
				null,
				array( 'SHOP_HOME' => 'https://www.shop.example' )
			);

			try {
				set_error_handler( '__return_true' );
				for ( $tries = 0; $tries < 100 && ! stream_socket_client( "tcp://$host", $code, $message, 1 ); $tries++ ) {
					usleep( 50000 );
				}
				restore_error_handler();

				$post = static function ( $body, $header = '' ) use ( $host ) {
					$options  = array(
						'method'        => 'POST',
						'header'        => "Content-Type: application/json\r\n$header",
						'content'       => $body,
						'ignore_errors' => true,
					);
					$stream   = fopen( "http://$host" . CLICK, 'r', false, stream_context_create( array( 'http' => $options ) ) );
					$lines    = stream_get_meta_data( $stream )['wrapper_data'];
					$relevant = preg_grep( '/^(HTTP|Set-Cookie|Cache-Control)/i', $lines );
					return array( array_values( $relevant ), stream_get_contents( $stream ) );
				};

				list( $lines, $body ) = $post( json_encode( array( 'pjclid' => ID, 'domain' => 'shop.example' ) ) );
				same( 1, preg_match( '/expires=([^;]+ GMT); Max-Age=(\d+)/', $lines[1], $found ), $lines[1] );
				same( true, abs( strtotime( $found[1] ) - time() - 30 * DAY ) <= 2 );
				same( true, $found[2] <= 30 * DAY && $found[2] >= 30 * DAY - 2 );
				$lines[1] = str_replace( $found[0], '', $lines[1] );
				same(
					array(
						'HTTP/1.1 204 No Content',
						'Set-Cookie: pjclid=' . ID . '; ; path=/; domain=shop.example; secure; SameSite=Lax',
						'Set-Cookie: pjclid_at=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=0; path=/; domain=shop.example; secure; SameSite=Lax',
						'Cache-Control: no-store',
					),
					array_map(
						static function ( $line ) {
							// PHP before 8.2 writes 01-Jan-1970.
							return preg_replace( '/(\d\d)-(\w{3})-(\d{4})/', '$1 $2 $3', $line );
						},
						array( $lines[0], $lines[1], $lines[2], $lines[3] )
					)
				);
				same( array( 4, '' ), array( count( $lines ), $body ) );

				$all = $post( json_encode( array( 'pjclid' => ID ) ) )[0];
				same( 4, count( preg_grep( '/domain=(www\.)?shop\.example; secure; SameSite=Lax$/', $all ) ) );
				same( array(), preg_grep( '/HttpOnly/i', $all ) );

				$refusals = array(
					array( json_encode( array( 'pjclid' => ID . "\r\nSet-Cookie: a=b" ) ), '', 400 ),
					array( json_encode( array( 'pjclid' => ID, 'at' => 1 ) ), '', 400 ),
					array( '{"pjclid":"' . ID . '","at":-1e999}', '', 400 ),
					array( json_encode( array( 'pjclid' => ID ) ), "Sec-Fetch-Site: cross-site\r\n", 403 ),
				);
				foreach ( $refusals as list( $body, $header, $status ) ) {
					list( $lines, $answer ) = $post( $body, $header );
					contains( " $status ", $lines[0] );
					same( array(), preg_grep( '/^Set-Cookie/i', $lines ) );
					contains( '"code":', $answer );
				}
			} finally {
				proc_terminate( $server );
				proc_close( $server );
			}
		}
	);

	// Run.

	require PLUGIN;
	do_action( 'plugins_loaded' );
	$fresh  = ( new ReflectionClass( 'World' ) )->getStaticProperties();
	$server = $_SERVER;
	$wanted = implode( ' ', array_slice( $argv, 1 ) );
	$failed = 0;
	$done   = 0;

	foreach ( $tests as $promise => $body ) {
		if ( '' !== $wanted && false === strpos( $promise, $wanted ) ) {
			continue;
		}

		foreach ( $fresh as $name => $value ) {
			World::$$name = $value;
		}
		$_COOKIE = array();
		$_SERVER = $server;
		do_action( 'rest_api_init' );

		++$done;
		try {
			ob_start();
			$body();
			same( '', ob_get_contents(), 'output:' );
			$line = "ok      $promise";
		} catch ( Throwable $problem ) {
			++$failed;
			$line = "FAILED  $promise\n        " . $problem->getMessage() . ' (' . basename( $problem->getFile() ) . ':' . $problem->getLine() . ')';
		} finally {
			ob_end_clean();
		}
		echo $line, "\n";
	}

	echo "\n", $done - $failed, " passed, $failed failed\n";
	exit( $failed > 0 || 0 === $done ? 1 : 0 );
}
