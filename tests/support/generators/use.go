// Use a client that openapi-generator made: URL KEY.
package main

import (
	"context"
	"encoding/json"
	"os"

	made "example.com/made"
)

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func main() {
	settings := made.NewConfiguration()
	settings.Servers = made.ServerConfigurations{{URL: os.Args[1]}}
	settings.AddDefaultHeader("Authorization", "Bearer "+os.Args[2])
	client := made.NewAPIClient(settings)
	ctx := context.Background()

	wanted := made.NewSessionCreate()
	wanted.SetAmount(*made.NewPrice("10.00", "USD"))
	wanted.SetMetadata(map[string]string{"größe": "Überraschung ☕"})
	wanted.SetSuccessUrl("https://münchen.example/h")
	wanted.SetCustomerEmail("ada@example.com")
	session, _, err := client.CheckoutSessionsAPI.CreateCheckoutSession(ctx).
		SessionCreate(*wanted).IdempotencyKey("openapi-generator-go-1").Execute()
	must(err)
	shown, _, err := client.CheckoutSessionsAPI.GetCheckoutSession(ctx, session.Id).Execute()
	must(err)
	list, _, err := client.CheckoutSessionsAPI.ListCheckoutSessions(ctx).Limit(5).Execute()
	must(err)
	listed := []string{}
	for _, each := range list.Data {
		listed = append(listed, each.Id)
	}
	_, _, err = client.CustomersAPI.GetCustomer(ctx, "cus_1").Execute()
	refused := err.(*made.GenericOpenAPIError).Model().(made.Error)
	must(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"id":     shown.Id,
		"status": shown.Status,
		"text":   shown.GetMetadata()["größe"],
		"url":    shown.GetSuccessUrl(),
		"listed": listed,
		"code":   refused.Error.Code,
	}))
}
