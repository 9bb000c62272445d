"""Places an order: the messages and the order are one commit, or nothing is there."""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb


def place(connection: psycopg.Connection, order_id: str, cents: int, products: list[str]) -> list[int]:
    lines = [
        {
            "topic": "orders.lines",
            "key": order_id,
            "payload": {"line": line, "product": product},
            "headers": [["product", product]],
            "idempotency_key": f"place {order_id} line {line}",
        }
        for line, product in enumerate(products, 1)
    ]
    with connection.transaction():
        [message] = connection.execute(
            """select wasaga.emit('orders.placed', %(order)s, %(payload)s, idempotency_key => %(key)s,
                   aggregate_id => %(order)s, event_type => 'order.placed')""",
            {
                "order": order_id,
                "payload": Jsonb({"order_id": order_id, "cents": cents}),
                "key": f"place {order_id}",
            },
        ).fetchone()
        [line_messages] = connection.execute("select wasaga.emit_many(%s)", (Jsonb(lines),)).fetchone()
        connection.execute(
            "insert into shop.orders (order_id, cents, products) values (%s, %s, %s) on conflict do nothing",
            (order_id, cents, products),
        )
    return [message, *line_messages]


order, amount, bought = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
with psycopg.connect(os.environ["DATABASE_URL"]) as database:
    try:
        print(f"order {order} is placed: messages {place(database, order, amount, bought)}")
    except psycopg.Error as error:
        sys.exit(f"order {order} is not placed: {error}")
