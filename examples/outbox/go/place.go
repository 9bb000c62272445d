// Places an order: the messages and the order are one commit, or nothing is there.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
)

func place(ctx context.Context, conn *pgx.Conn, order string, cents int64, products []string) (messages []int64, err error) {
	lines := []map[string]any{}
	for i, product := range products {
		lines = append(lines, map[string]any{
			"topic":           "orders.lines",
			"key":             order,
			"payload":         map[string]any{"line": i + 1, "product": product},
			"headers":         [][]string{{"product", product}},
			"idempotency_key": fmt.Sprintf("place %s line %d", order, i+1),
		})
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		payload := map[string]any{"order_id": order, "cents": cents}
		emitted := tx.QueryRow(ctx,
			`select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
				event_type => 'order.placed')`,
			order, payload, "place "+order)
		var message int64
		if err := emitted.Scan(&message); err != nil {
			return err
		}
		if err := tx.QueryRow(ctx, "select wasaga.emit_many($1)", lines).Scan(&messages); err != nil {
			return err
		}
		messages = append([]int64{message}, messages...)
		_, err := tx.Exec(ctx,
			"insert into shop.orders (order_id, cents, products) values ($1, $2, $3) on conflict do nothing",
			order, cents, products)
		return err
	})
	return messages, err
}

func run(ctx context.Context, order, amount string, products []string) ([]int64, error) {
	cents, err := strconv.ParseInt(amount, 10, 64)
	if err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	return place(ctx, conn, order, cents, products)
}

func main() {
	if len(os.Args) < 4 {
		fmt.Fprintln(os.Stderr, "usage: place ORDER CENTS PRODUCT...")
		os.Exit(2)
	}
	order := os.Args[1]
	messages, err := run(context.Background(), order, os.Args[2], os.Args[3:])
	if err != nil {
		fmt.Fprintf(os.Stderr, "order %s is not placed: %v\n", order, err)
		os.Exit(1)
	}
	fmt.Printf("order %s is placed: messages %d\n", order, messages)
}
