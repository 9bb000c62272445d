//! The books: what the services did, beside what the completed orders say, both by SQL.

use anyhow::Result;
use wasaga_store::testing_sql::Session;

/// What is counted, what the services' tables have, and what completed orders amount to. The services' first stock is a
/// million of each product.
const BOOKS: [(&str, &str, &str); 4] = [
    (
        "items taken from stock",
        "select coalesce(sum(1000000 - available), 0)::bigint from plugin_inventory.stock",
        "select coalesce(sum((item->>'quantity')::bigint), 0)::bigint from completed, jsonb_array_elements(items) item",
    ),
    (
        "items reserved",
        "select coalesce(sum(quantity), 0)::bigint from plugin_inventory.reservations where status = 'reserved'",
        "select coalesce(sum((item->>'quantity')::bigint), 0)::bigint from completed, jsonb_array_elements(items) item",
    ),
    (
        "cents paid",
        "select coalesce(sum(amount_cents), 0)::bigint from plugin_payment.payments where status = 'paid'",
        "select coalesce(sum((item->>'quantity')::numeric * (item->>'price')::numeric * 100), 0)::bigint
         from completed, jsonb_array_elements(items) item",
    ),
    (
        "shipments",
        "select count(*) from plugin_shipping.shipments where status = 'created'",
        "select count(*) from completed",
    ),
];

const COMPLETED: &str = "with completed as (
    select convert_from(input, 'UTF8')::jsonb->'items' as items from wasaga.sagas
    where definition = 'order' and status = 'completed') ";

/// Prints the books, and says whether they balance.
pub async fn balance(database: &str) -> Result<bool> {
    let mut session = Session::open(database).await;
    let mut balanced = true;
    println!("\n{:<26}{:>12}{:>20}", "books", "services", "completed orders");
    for (what, services, orders) in BOOKS {
        let services = session.number(services).await;
        let orders = session.number(&format!("{COMPLETED}{orders}")).await;
        let mark = if services == orders { "" } else { "  <- does not balance" };
        balanced &= services == orders;
        println!("{what:<26}{services:>12}{orders:>20}{mark}");
    }
    Ok(balanced)
}
