// The notification service: tells a customer of an order that is completed, once, however often it hears of it.
package main

import (
	"fmt"

	wasaga "wasaga.local/guest"
	"wasaga.local/guest/sql"
	"wasaga.local/guest/tasks"
)

const (
	orderEvents = "orders.events"
	// What a mail gateway would read.
	mails = "notifications.mails"
)

const tables = `
create table notifications (
    idempotency_key text primary key,
    order_id text not null,
    customer_id text not null,
    text text not null,
    sent_at timestamptz not null default now()
);
`

// orderCompleted is the value of OrderCompletedEvent, as far as it is told.
type orderCompleted struct {
	OrderID     string `json:"order_id"`
	CustomerID  string `json:"customer_id"`
	AmountCents int64  `json:"amount_cents"`
	TaxCents    int64  `json:"tax_cents"`
	ShipmentID  string `json:"shipment_id"`
}

func (o *orderCompleted) text() string {
	return fmt.Sprintf("Your order %s for %s (with %s of tax) is on its way as %s.", o.OrderID, euros(o.AmountCents),
		euros(o.TaxCents), o.ShipmentID)
}

func euros(cents int64) string { return fmt.Sprintf("€%d.%02d", cents/100, cents%100) }

func handle(task *tasks.Task, effects *wasaga.Effects) error {
	key, err := task.Message.RequireHeader("idempotency-key")
	if err != nil {
		return err
	}
	var order orderCompleted
	if err := task.Message.JSON(&order); err != nil {
		return err
	}
	inserted, err := sql.Execute(
		`insert into notifications (idempotency_key, order_id, customer_id, text) values ($1, $2, $3, $4)
		 on conflict (idempotency_key) do nothing`,
		key, order.OrderID, order.CustomerID, order.text(),
	)
	if err != nil || inserted == 0 {
		return err
	}
	mail := map[string]string{"to": order.CustomerID, "text": order.text()}
	effects.Send(wasaga.NewMessage(mails, order.OrderID, mail).
		Header("message-type", "Mail").
		Header("idempotency-key", key).
		Header("order-id", order.OrderID))
	return nil
}

func init() {
	tasks.HandleIn(orderEvents, handle)
	wasaga.Describe(wasaga.Manifest{
		Name:         "notification",
		Version:      "0.1.0",
		Migrations:   []wasaga.Migration{{Version: 1, Name: "tables", Up: tables}},
		Capabilities: &wasaga.Capabilities{SQL: true, Topics: []string{mails}},
	})
}

// A plugin is called by its exports.
func main() {}
