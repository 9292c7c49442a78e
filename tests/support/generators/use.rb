# Use a client that openapi-generator made, in ./lib, with Debian's typhoeus: URL KEY.
$LOAD_PATH.unshift(File.join(__dir__, 'lib'))
require 'json'
require 'openapi_client'
require 'uri'

url, key = ARGV
address = URI(url)
OpenapiClient.configure do |settings|
  settings.scheme = address.scheme
  settings.host = "#{address.host}:#{address.port}"
  settings.server_index = nil
  settings.access_token = key
end
sessions = OpenapiClient::CheckoutSessionsApi.new
wanted = OpenapiClient::SessionCreate.new(
  amount: OpenapiClient::Price.new(value: '10.00', currency: 'USD'),
  metadata: { 'größe' => 'Überraschung ☕' },
  success_url: 'https://münchen.example/h',
  customer_email: 'ada@example.com'
)
made = sessions.create_checkout_session(wanted, idempotency_key: 'openapi-generator-ruby-1')
shown = sessions.get_checkout_session(made.id)
listed = sessions.list_checkout_sessions(limit: 5)
begin
  OpenapiClient::CustomersApi.new.get_customer('cus_1')
  code = nil
rescue OpenapiClient::ApiError => e
  code = JSON.parse(e.response_body)['error']['code']
end
puts JSON.generate(
  id: shown.id,
  status: shown.status,
  text: shown.metadata.values.first,
  url: shown.success_url,
  listed: listed.data.map(&:id),
  code: code
)
