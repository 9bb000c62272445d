//! The tables `payments` and `switches`.

use wasaga_guest::sql;

/// The balance is the sum of `amount_cents` of what is `paid`.
pub const TABLES: &str = "
create table payments (
    payment_id uuid primary key default gen_random_uuid(),
    idempotency_key text not null unique,
    order_id text not null,
    customer_id text not null,
    amount_cents bigint not null check (amount_cents >= 0),
    status text not null default 'paid' check (status in ('paid', 'refunded'))
);

create table switches (
    name text primary key
);
";

/// Takes the money and returns the payment's id.
pub fn payment_insert(
    key: &str,
    order_id: &str,
    customer_id: &str,
    amount_cents: i64,
) -> Result<String, sql::Error> {
    let rows = sql::query(
        "insert into payments (idempotency_key, order_id, customer_id, amount_cents)
         values ($1, $2, $3, $4) returning payment_id",
        &[&key, &order_id, &customer_id, &amount_cents],
    )?;
    rows.one()?.get("payment_id")
}

/// Who paid under this key.
pub fn payment_customer(key: &str) -> Result<Option<String>, sql::Error> {
    let rows = sql::query("select customer_id from payments where idempotency_key = $1", &[&key])?;
    rows.optional()?.map(|row| row.get("customer_id")).transpose()
}

/// Gives back what was paid under this key. False: nothing was, or it is given back already.
pub fn payment_refund(key: &str) -> Result<bool, sql::Error> {
    let refunded = sql::execute(
        "update payments set status = 'refunded' where idempotency_key = $1 and status = 'paid'",
        &[&key],
    )?;
    Ok(refunded > 0)
}

/// Whether an operator inserted this switch.
pub fn switch_is_on(name: &str) -> Result<bool, sql::Error> {
    Ok(!sql::query("select name from switches where name = $1", &[&name])?.is_empty())
}
