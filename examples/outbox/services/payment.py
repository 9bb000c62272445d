"""The payment service of the order saga, without WASM: reads commands from Kafka, and answers by the outbox.

Each record is handled in one transaction: `wasaga.accept`, the service's own tables, `wasaga.emit`. The offset is
committed after it: a crash between the two brings the record again, and it is not accepted again.
"""

import json
import os
import signal
import sys

import psycopg
from confluent_kafka import Consumer, Message
from psycopg.types.json import Jsonb

NAME = "payment-service"

Reply = tuple[str, dict]


def pay(cursor: psycopg.Cursor, key: str, command: dict) -> Reply:
    order, customer, cents = command["order_id"], command["customer_id"], command["amount_cents"]
    if customer.startswith("declined"):
        reason = f"the bank of {customer} declined {cents} cents"
        return "PaymentFailed", {"code": "payment-declined", "reason": reason}
    [payment] = cursor.execute(
        "insert into shop.payments (idempotency_key, order_id, amount_cents) values (%s, %s, %s) returning payment_id",
        (key, order, cents),
    ).fetchone()
    return "PaymentProcessed", {"order_id": order, "payment_id": str(payment), "amount_cents": cents}


def refund(cursor: psycopg.Cursor, forward_key: str, command: dict) -> Reply:
    # Should the payment's command come after this one, it is refused.
    refusal = {"code": "already-undone", "reason": "RefundPayment came before this ProcessPayment"}
    remember(cursor, forward_key, ("PaymentFailed", refusal))
    cursor.execute(
        "update shop.payments set status = 'refunded' where idempotency_key = %s and status = 'paid'", (forward_key,)
    )
    return "PaymentRefunded", {"order_id": command["order_id"], "had_acted": cursor.rowcount > 0}


def remember(cursor: psycopg.Cursor, key: str, answer: Reply) -> None:
    cursor.execute(
        "insert into shop.answers (idempotency_key, reply, body) values (%s, %s, %s) on conflict do nothing",
        (key, answer[0], Jsonb(answer[1])),
    )


def answer(cursor: psycopg.Cursor, headers: dict[str, str], command: dict) -> Reply:
    """A command that is sent again is another message under the same idempotency key: it gets the same answer."""
    key = headers["idempotency-key"]
    known = cursor.execute("select reply, body from shop.answers where idempotency_key = %s", (key,)).fetchone()
    if known:
        return known
    if headers["message-type"] == "ProcessPayment":
        made = pay(cursor, key, command)
    elif headers["message-type"] == "RefundPayment":
        made = refund(cursor, headers["forward-key"], command)
    else:
        raise ValueError(f"unknown command {headers['message-type']}")
    remember(cursor, key, made)
    return made


def handle(database: psycopg.Connection, record: Message) -> None:
    headers = {name: value.decode() for name, value in record.headers() or []}
    with database.transaction(), database.cursor() as cursor:
        [is_new] = cursor.execute("select wasaga.accept(%s, %s)", (NAME, headers["message-id"])).fetchone()
        if not is_new:
            return
        reply, body = answer(cursor, headers, json.loads(record.value()))
        reply_headers = [["message-type", reply]] + [[name, headers[name]] for name in ("correlation-id", "order-id")]
        cursor.execute(
            "select wasaga.emit(%s, %s, %s, %s)",
            (headers["reply-topic"], headers["order-id"], Jsonb(body), Jsonb(reply_headers)),
        )


def serve() -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": os.environ["KAFKA_BROKERS"],
            "group.id": NAME,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "session.timeout.ms": 6000,
            "topic.metadata.refresh.interval.ms": 1000,
        }
    )
    consumer.subscribe(["payment.commands"])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        try:
            while True:
                record = consumer.poll(0.5)
                if record is None:
                    continue
                if record.error():
                    print(f"{NAME}: {record.error()}", file=sys.stderr)
                    continue
                try:
                    handle(database, record)
                except (KeyError, ValueError) as error:
                    print(f"{NAME}: {record.topic()} {record.offset()} is no command: {error!r}", file=sys.stderr)
                consumer.commit(record, asynchronous=False)
        finally:
            consumer.close()


serve()
