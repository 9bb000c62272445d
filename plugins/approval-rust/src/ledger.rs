//! The table `expenses`.

use wasaga_guest::sql;

pub const TABLE: &str = "
create table expenses (
    expense_id text primary key,
    employee text not null,
    cents bigint not null check (cents > 0),
    status text not null default 'earmarked' check (status in ('earmarked', 'paid', 'dropped'))
);
";

/// Sets the money aside.
pub fn earmark(id: &str, employee: &str, cents: i64) -> Result<(), sql::Error> {
    sql::execute(
        "insert into expenses (expense_id, employee, cents) values ($1, $2, $3)",
        &[&id, &employee, &cents],
    )?;
    Ok(())
}

/// Pays what is set aside, or drops it.
pub fn settle(id: &str, status: &str) -> Result<(), sql::Error> {
    sql::execute("update expenses set status = $2 where expense_id = $1", &[&id, &status])?;
    Ok(())
}
