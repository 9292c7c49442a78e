<?php
// Use a client that openapi-generator made, in ./lib, with Debian's Guzzle: URL KEY.
require 'GuzzleHttp/autoload.php';
spl_autoload_register(function ($name) {
    $file = __DIR__ . '/lib/' . str_replace(['OpenAPI\\Client\\', '\\'], ['', '/'], $name) . '.php';
    if (is_file($file)) {
        require $file;
    }
});

[, $url, $key] = $argv;
$settings = (new OpenAPI\Client\Configuration())->setHost($url)->setAccessToken($key);
$http = new GuzzleHttp\Client();
$sessions = new OpenAPI\Client\Api\CheckoutSessionsApi($http, $settings);
$wanted = new OpenAPI\Client\Model\SessionCreate([
    'amount' => new OpenAPI\Client\Model\Price(['value' => '10.00', 'currency' => 'USD']),
    'metadata' => ['größe' => 'Überraschung ☕'],
    'success_url' => 'https://münchen.example/h',
    'customer_email' => 'ada@example.com',
]);
if (!$wanted->valid()) {
    throw new Exception(implode("\n", $wanted->listInvalidProperties()));
}
new OpenAPI\Client\Model\LinkCreate(['title' => 'Überraschung ☕', 'fiat_amount' => '10.00', 'description' => '☕']);
$made = $sessions->createCheckoutSession($wanted, 'openapi-generator-php-1');
$shown = $sessions->getCheckoutSession($made->getId());
$listed = $sessions->listCheckoutSessions(5);
try {
    (new OpenAPI\Client\Api\CustomersApi($http, $settings))->getCustomer('cus_1');
    $code = null;
} catch (OpenAPI\Client\ApiException $error) {
    $code = $error->getResponseObject()->getError()->getCode();
}
echo json_encode([
    'id' => $shown->getId(),
    'status' => $shown->getStatus(),
    'text' => $shown->getMetadata()['größe'],
    'url' => $shown->getSuccessUrl(),
    'listed' => array_map(fn ($each) => $each->getId(), $listed->getData()),
    'code' => $code,
]);
