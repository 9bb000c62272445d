//! The tables `stock` and `reservations`.

use std::collections::BTreeMap;

use wasaga_guest::sql::{self, Json};

/// `reserved` counts what is reserved and not released: for a completed order it stays, as sold.
pub const TABLES: &str = "
create table stock (
    product_id text primary key,
    available bigint not null check (available >= 0),
    reserved bigint not null default 0 check (reserved >= 0)
);
insert into stock (product_id, available)
select 'product-' || n, 1000000 from generate_series(1, 5) as n;

create table reservations (
    reservation_id uuid not null,
    product_id text not null references stock,
    quantity bigint not null check (quantity > 0),
    idempotency_key text not null,
    order_id text not null,
    status text not null default 'reserved' check (status in ('reserved', 'released')),
    primary key (idempotency_key, product_id)
);
";

/// What is there of these products, locked in the order of their names, so that two orders never wait for each other.
pub fn stock_lock(wanted: &BTreeMap<&str, i64>) -> Result<BTreeMap<String, i64>, sql::Error> {
    let rows = sql::query(
        "select product_id, available from stock
         where product_id in (select jsonb_object_keys($1::jsonb))
         order by product_id for update",
        &[&Json(wanted)],
    )?;
    rows.iter().map(|row| Ok((row.get("product_id")?, row.get("available")?))).collect()
}

/// Reserves these quantities, which are there, and returns the reservation's id.
pub fn reservation_insert(
    key: &str,
    order_id: &str,
    wanted: &BTreeMap<&str, i64>,
) -> Result<String, sql::Error> {
    let rows = sql::query(
        "with wanted as (
             select key as product_id, value::bigint as quantity from jsonb_each_text($3::jsonb)
         ), taken as (
             update stock set available = available - quantity, reserved = reserved + quantity
             from wanted where stock.product_id = wanted.product_id
         ), reservation as materialized (
             select gen_random_uuid() as id
         )
         insert into reservations (reservation_id, product_id, quantity, idempotency_key, order_id)
         select id, product_id, quantity, $1, $2 from wanted, reservation
         returning reservation_id",
        &[&key, &order_id, &Json(wanted)],
    )?;
    match rows.iter().next() {
        Some(row) => row.get("reservation_id"),
        None => Err(sql::Error::new("22023", "an order without items reserves nothing")),
    }
}

/// Releases what was reserved under this key. False: nothing was, or no longer is.
pub fn reservation_release(key: &str) -> Result<bool, sql::Error> {
    let returned = sql::execute(
        "with locked as (
             select stock.product_id from stock join reservations using (product_id)
             where idempotency_key = $1 and status = 'reserved'
             order by product_id for update of stock
         ), released as (
             update reservations set status = 'released'
             where idempotency_key = $1 and status = 'reserved'
               and product_id in (select product_id from locked)
             returning product_id, quantity
         )
         update stock set available = available + quantity, reserved = reserved - quantity
         from released where stock.product_id = released.product_id",
        &[&key],
    )?;
    Ok(returned > 0)
}
