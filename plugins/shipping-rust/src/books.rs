//! The table `shipments`.

use order_kit::body::Item;
use wasaga_guest::sql::{self, Json};

/// What is `created` goes to the customer.
pub const TABLES: &str = "
create table shipments (
    shipment_id uuid primary key default gen_random_uuid(),
    idempotency_key text not null unique,
    order_id text not null,
    customer_id text not null,
    items jsonb not null,
    status text not null default 'created' check (status in ('created', 'cancelled'))
);
";

/// Creates a shipment and returns its id.
pub fn shipment_insert(
    key: &str,
    order_id: &str,
    customer_id: &str,
    items: &[Item],
) -> Result<String, sql::Error> {
    let rows = sql::query(
        "insert into shipments (idempotency_key, order_id, customer_id, items)
         values ($1, $2, $3, $4::jsonb) returning shipment_id",
        &[&key, &order_id, &customer_id, &Json(items)],
    )?;
    rows.one()?.get("shipment_id")
}

/// Cancels what was created under this key. False: nothing was, or it is cancelled already.
pub fn shipment_cancel(key: &str) -> Result<bool, sql::Error> {
    let cancelled = sql::execute(
        "update shipments set status = 'cancelled' where idempotency_key = $1 and status = 'created'",
        &[&key],
    )?;
    Ok(cancelled > 0)
}
