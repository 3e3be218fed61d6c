<?php
/**
 * The plugin's route behind PHP's own web server, so that the headers are those that PHP really sends.
 *
 * @package Prisjakt_Relay
 */

require __DIR__ . '/stand_ins.php';

set_error_handler(
	static function ( $level, $message ) {
		throw new ErrorException( $message, 0, $level );
	}
);

World::$home = getenv( 'SHOP_HOME' );
World::$ssl  = 0 === strpos( World::$home, 'https:' );
require PLUGIN;
do_action( 'plugins_loaded' );
do_action( 'rest_api_init' );

$fields  = (array) json_decode( file_get_contents( 'php://input' ), true );
$headers = array();
foreach ( $_SERVER as $name => $value ) {
	if ( 0 === strpos( $name, 'HTTP_' ) ) {
		$headers[ substr( $name, 5 ) ] = $value;
	}
}
list( $status, $answer, $sent ) = dispatch( $_SERVER['REQUEST_METHOD'], $_SERVER['SCRIPT_NAME'], $fields, $headers );

http_response_code( $status );
foreach ( $sent as $name => $value ) {
	header( "$name: $value" );
}
if ( 204 !== $status ) {
	echo json_encode( $answer );
}
