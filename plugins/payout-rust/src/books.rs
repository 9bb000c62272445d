//! The tables `accounts`, `wages` and `transfer_events`.

use wasaga_guest::{failure::Failure, sql};

use crate::transfer::Transfer;

/// The account that wages are paid from.
pub const TILL: &str = "till";

/// All accounts together always have a million cents.
pub const TABLES: &str = "
create table accounts (
    account text primary key,
    cents bigint not null default 0 check (cents >= 0),
    closed boolean not null default false
);
insert into accounts (account, cents, closed) values
    ('till', 1000000, false), ('ada', 0, false), ('bob', 0, false), ('closed-carl', 0, true),
    ('foreign-dora', 0, false);

create table wages (
    account text primary key references accounts,
    cents bigint not null check (cents > 0)
);
insert into wages values ('ada', 5000), ('bob', 4000), ('closed-carl', 3000), ('foreign-dora', 2000);

create table transfer_events (
    event_id text primary key,
    transfer text not null,
    event text not null
);
";

/// All wages.
pub fn wages() -> Result<Vec<Transfer>, sql::Error> {
    let rows = sql::query("select account, cents from wages order by account", &[])?;
    let wage =
        |row: sql::Row<'_>| Ok(Transfer { account: row.get("account")?, cents: row.get("cents")? });
    rows.iter().map(wage).collect()
}

/// Adds to an account, which must be open.
pub fn balance_add(account: &str, cents: i64) -> Result<(), Failure> {
    let changed = sql::execute(
        "update accounts set cents = cents + $2 where account = $1 and not closed",
        &[&account, &cents],
    )?;
    match changed {
        1 => Ok(()),
        _ => Err(Failure::permanent("account-closed", format!("{account} takes no money"))),
    }
}

/// Writes down what happened to a transfer, once however often it is told.
pub fn event_insert(event_id: &str, transfer: &str, event: &str) -> Result<(), sql::Error> {
    sql::execute(
        "insert into transfer_events (event_id, transfer, event) values ($1, $2, $3)
         on conflict (event_id) do nothing",
        &[&event_id, &transfer, &event],
    )?;
    Ok(())
}
