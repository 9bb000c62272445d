"""Places an order: the message and the order are one commit, or neither is there."""

import os
import sys

import psycopg
from psycopg.types.json import Jsonb


def place(connection: psycopg.Connection, order_id: str, cents: int) -> int:
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
        connection.execute(
            "insert into shop.orders (order_id, cents) values (%s, %s) on conflict do nothing",
            (order_id, cents),
        )
    return message


order, amount = sys.argv[1], int(sys.argv[2])
with psycopg.connect(os.environ["DATABASE_URL"]) as database:
    try:
        print(f"order {order} is placed: message {place(database, order, amount)}")
    except psycopg.Error as error:
        sys.exit(f"order {order} is not placed: {error}")
