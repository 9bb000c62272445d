// Places an order: the message and the order are one commit, or neither is there.
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"github.com/jackc/pgx/v5"
)

func place(ctx context.Context, conn *pgx.Conn, order string, cents int64) (message int64, err error) {
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		payload := map[string]any{"order_id": order, "cents": cents}
		emitted := tx.QueryRow(ctx,
			`select wasaga.emit('orders.placed', $1, $2, idempotency_key => $3, aggregate_id => $1,
				event_type => 'order.placed')`,
			order, payload, "place "+order)
		if err := emitted.Scan(&message); err != nil {
			return err
		}
		_, err := tx.Exec(ctx,
			"insert into shop.orders (order_id, cents) values ($1, $2) on conflict do nothing",
			order, cents)
		return err
	})
	return message, err
}

func run(ctx context.Context, order, amount string) (int64, error) {
	cents, err := strconv.ParseInt(amount, 10, 64)
	if err != nil {
		return 0, err
	}
	conn, err := pgx.Connect(ctx, os.Getenv("DATABASE_URL"))
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return place(ctx, conn, order, cents)
}

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: place ORDER CENTS")
		os.Exit(2)
	}
	order := os.Args[1]
	message, err := run(context.Background(), order, os.Args[2])
	if err != nil {
		fmt.Fprintf(os.Stderr, "order %s is not placed: %v\n", order, err)
		os.Exit(1)
	}
	fmt.Printf("order %s is placed: message %d\n", order, message)
}
