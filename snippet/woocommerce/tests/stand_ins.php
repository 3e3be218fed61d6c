<?php
/**
 * As much of WordPress and WooCommerce as the plugin touches, without a database.
 *
 * @package Prisjakt_Relay
 */

namespace {

	define( 'ABSPATH', __DIR__ . '/' );
	define( 'DAY_IN_SECONDS', 86400 );

	const PLUGIN = __DIR__ . '/../prisjakt-relay/prisjakt-relay.php';

	/** What the shop looks like at the moment, and what the plugin did to it. */
	final class World {
		public static $hooks   = array();
		public static $home    = 'https://shop.example';
		public static $rest    = '/wp-json/';
		public static $ssl     = true;
		public static $admin   = false;
		public static $consent = true;
		public static $absent  = array();
		public static $now     = 1800000000;

		public static $scripts  = array();
		public static $routes   = array();
		public static $cookies  = array();
		public static $features = array();
		public static $listed   = array();
		public static $policies = array();
	}

	class WooCommerce {}

	class WP_Error {
		public $code;
		public $message;
		public $data;

		public function __construct( $code = '', $message = '', $data = '' ) {
			$this->code    = $code;
			$this->message = $message;
			$this->data    = $data;
		}
	}

	class WP_REST_Response {
		public $data;
		public $status;
		public $headers;

		public function __construct( $data = null, $status = 200, $headers = array() ) {
			$this->data    = $data;
			$this->status  = $status;
			$this->headers = $headers;
		}
	}

	class WP_REST_Request implements ArrayAccess {
		private $parameters;
		private $headers = array();

		public function __construct( array $parameters, array $headers ) {
			$this->parameters = $parameters;
			foreach ( $headers as $name => $value ) {
				$this->headers[ self::canonical( $name ) ] = $value;
			}
		}

		private static function canonical( $name ) {
			return str_replace( '-', '_', strtolower( $name ) );
		}

		public function get_header( $name ) {
			return $this->headers[ self::canonical( $name ) ] ?? null;
		}

		#[ReturnTypeWillChange]
		public function offsetExists( $name ) {
			return isset( $this->parameters[ $name ] );
		}

		#[ReturnTypeWillChange]
		public function offsetGet( $name ) {
			return $this->parameters[ $name ] ?? null;
		}

		#[ReturnTypeWillChange]
		public function offsetSet( $name, $value ) {
			$this->parameters[ $name ] = $value;
		}

		#[ReturnTypeWillChange]
		public function offsetUnset( $name ) {
			unset( $this->parameters[ $name ] );
		}
	}

	class WC_Order {
		public $meta  = array();
		public $saves = 0;

		public function __construct( array $meta = array() ) {
			$this->meta = $meta;
		}

		public function update_meta_data( $key, $value ) {
			$this->meta[ $key ] = $value;
		}

		public function delete_meta_data( $key ) {
			unset( $this->meta[ $key ] );
		}

		public function save() {
			++$this->saves;
		}
	}

	function add_filter( $hook, $callback, $priority = 10, $accepted = 1 ) {
		World::$hooks[ $hook ][ $priority ][] = array( $callback, $accepted );
		return true;
	}

	function add_action( $hook, $callback, $priority = 10, $accepted = 1 ) {
		return add_filter( $hook, $callback, $priority, $accepted );
	}

	function apply_filters( $hook, $value, ...$more ) {
		$by_priority = World::$hooks[ $hook ] ?? array();
		ksort( $by_priority );
		foreach ( $by_priority as $callbacks ) {
			foreach ( $callbacks as list( $callback, $accepted ) ) {
				$value = $callback( ...array_slice( array( $value, ...$more ), 0, $accepted ) );
			}
		}
		return $value;
	}

	function do_action( $hook, ...$arguments ) {
		$by_priority = World::$hooks[ $hook ] ?? array();
		ksort( $by_priority );
		foreach ( $by_priority as $callbacks ) {
			foreach ( $callbacks as list( $callback, $accepted ) ) {
				$callback( ...array_slice( $arguments, 0, $accepted ) );
			}
		}
	}

	function __return_true() {
		return true;
	}

	function __( $text, $domain = 'default' ) {
		if ( 'prisjakt-relay' !== $domain ) {
			throw new LogicException( "Text of another domain: $text" );
		}
		return $text;
	}

	function esc_attr( $text ) {
		return htmlspecialchars( $text, ENT_QUOTES );
	}

	function esc_html( $text ) {
		return htmlspecialchars( $text, ENT_QUOTES );
	}

	function is_admin() {
		return World::$admin;
	}

	function is_ssl() {
		return World::$ssl;
	}

	function home_url() {
		return World::$home;
	}

	function rest_url( $path ) {
		return World::$home . World::$rest . $path;
	}

	function plugins_url( $path, $file ) {
		return World::$home . '/wp-content/plugins/' . basename( dirname( $file ) ) . '/' . $path;
	}

	function plugin_basename( $file ) {
		return basename( dirname( $file ) ) . '/' . basename( $file );
	}

	function wp_make_link_relative( $address ) {
		return preg_replace( '~^https?://[^/]+~', '', $address );
	}

	function wp_parse_url( $address, $part ) {
		return parse_url( $address, $part );
	}

	function wp_unslash( $value ) {
		return is_array( $value ) ? array_map( 'wp_unslash', $value ) : stripslashes( $value );
	}

	function wp_enqueue_script( $handle, $src, $needs, $version, $how ) {
		World::$scripts[ $handle ] = array( $src . '?ver=' . $version, $needs, $how );
	}

	function register_rest_route( $namespace, $route, $options ) {
		World::$routes[ '/' . $namespace . $route ] = $options;
	}

	function wp_has_consent( $category ) {
		if ( 'marketing' !== $category ) {
			throw new LogicException( "Asked for consent to $category" );
		}
		return World::$consent;
	}

	function wp_add_cookie_info( ...$description ) {
		World::$listed[ $description[0] ] = $description;
	}

	function wp_add_privacy_policy_content( $plugin, $text ) {
		World::$policies[ $plugin ] = $text;
	}

	/** Answers a request as WordPress does: [status, answer, headers]. Fields are those of the address or of the body. */
	function dispatch( $method, $path, array $fields, array $headers = array() ) {
		$route = World::$routes[ $path ] ?? null;
		if ( null === $route || $route['methods'] !== $method ) {
			return array( 404, array( 'code' => 'rest_no_route' ), array() );
		}

		$request = new WP_REST_Request( $fields, $headers );
		$missing = array();
		$invalid = array();
		foreach ( $route['args'] as $name => $argument ) {
			$value = $request[ $name ];
			if ( null === $value ) {
				if ( ! empty( $argument['required'] ) ) {
					$missing[] = $name;
				}
			} elseif ( isset( $argument['validate_callback'] ) ) {
				$verdict = $argument['validate_callback']( $value, $request, $name );
				if ( true !== $verdict ) {
					$invalid[ $name ] = $verdict->message;
				}
			}
		}
		if ( $missing ) {
			return array( 400, array( 'code' => 'rest_missing_callback_param', 'data' => array( 'params' => $missing ) ), array() );
		}
		if ( $invalid ) {
			return array( 400, array( 'code' => 'rest_invalid_param', 'data' => array( 'params' => $invalid ) ), array() );
		}

		if ( true !== $route['permission_callback']( $request ) ) {
			return array( 401, array( 'code' => 'rest_forbidden' ), array() );
		}

		$answer = $route['callback']( $request );
		if ( $answer instanceof WP_Error ) {
			return array( $answer->data['status'], array( 'code' => $answer->code, 'message' => $answer->message ), array() );
		}
		return array( $answer->status, $answer->data, $answer->headers );
	}
}

namespace Automattic\WooCommerce\Utilities {

	class FeaturesUtil {
		public static function declare_compatibility( $feature, $file, $compatible ) {
			\World::$features[ $feature ] = array( $file, $compatible );
		}
	}
}
