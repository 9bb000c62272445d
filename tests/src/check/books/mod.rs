//! Promises about the tables of the examples' plugins: what they did fits what became of their sagas.

mod approval;
mod intake;
mod order;
mod payout;
mod trip;

use super::Check;
use crate::World;

/// The checks, by the table that is there when they can be made.
const BOOKS: [(&str, &[Check]); 5] = [
    ("plugin_inventory.stock", &order::CHECKS),
    ("plugin_agency.bookings", &trip::CHECKS),
    ("plugin_approval.expenses", &approval::CHECKS),
    ("plugin_payout.accounts", &payout::CHECKS),
    ("plugin_intake.registered", &intake::CHECKS),
];

/// Those that can be made: none where the plugins never ran.
pub(super) async fn checks(world: &World) -> Vec<&'static [Check]> {
    let tables =
        "select schemaname || '.' || tablename from pg_tables where schemaname like 'plugin_%'";
    let tables = world.texts(tables).await;
    let there = BOOKS.iter().filter(|(table, _)| tables.iter().any(|there| there == table));
    there.map(|(_, checks)| *checks).collect()
}
