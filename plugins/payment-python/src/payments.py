"""The tables `payments` and `switches`."""

from wasaga import sql

TABLES = """
create table payments (
    payment_id uuid primary key default gen_random_uuid(),
    idempotency_key text not null unique,
    order_id text not null,
    customer_id text not null,
    amount_cents bigint not null check (amount_cents >= 0),
    tax_cents bigint not null default 0 check (tax_cents between 0 and amount_cents),
    status text not null default 'paid' check (status in ('paid', 'refunded'))
);

create table switches (
    name text primary key
);
"""
"""The balance is the sum of `amount_cents` of what is `paid`; `tax_cents` are a part of it."""


def insert(key: str, order_id: str, customer_id: str, amount_cents: int, tax_cents: int) -> str:
    """Takes the money and returns the payment's id."""
    row = sql.query_one(
        """insert into payments (idempotency_key, order_id, customer_id, amount_cents, tax_cents)
           values ($1, $2, $3, $4, $5) returning payment_id""",
        key,
        order_id,
        customer_id,
        amount_cents,
        tax_cents,
    )
    return str(row["payment_id"])


def customer(key: str) -> str | None:
    """Who paid under this key."""
    row = sql.query_one("select customer_id from payments where idempotency_key = $1", key)
    return row and row["customer_id"]


def refund(key: str) -> bool:
    """Gives back what was paid under this key. False: nothing was, or it is given back already."""
    refunded = sql.execute(
        "update payments set status = 'refunded' where idempotency_key = $1 and status = 'paid'", key
    )
    return refunded > 0


def switch_is_on(name: str) -> bool:
    """Whether an operator inserted this switch."""
    return sql.query_one("select name from switches where name = $1", name) is not None
