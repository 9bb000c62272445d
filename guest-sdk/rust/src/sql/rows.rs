//! What a query returned, by the names of its columns.

use super::{Column, Error, FromSql, Value};
use crate::bindings::imports::wasaga::plugin::sql;

/// What a query returned.
#[derive(Clone, Debug, PartialEq)]
pub struct Rows {
    columns: Vec<Column>,
    rows: Vec<Vec<Value>>,
}

/// One row of it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    columns: &'a [Column],
    values: &'a [Value],
}

impl Rows {
    pub(super) fn new(rows: sql::Rows) -> Self {
        Self { columns: rows.columns, rows: rows.rows }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// In their order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|values| Row { columns: &self.columns, values })
    }

    /// The one row; an error when there is another number of them.
    pub fn one(&self) -> Result<Row<'_>, Error> {
        self.optional()?.ok_or_else(|| Error::new("P0002", "the query returned no row, not one"))
    }

    /// The one row, or none; an error when there are more.
    pub fn optional(&self) -> Result<Option<Row<'_>>, Error> {
        if self.len() > 1 {
            let message = format!("the query returned {} rows, not one", self.len());
            return Err(Error::new("P0003", message));
        }
        Ok(self.iter().next())
    }
}

impl Row<'_> {
    /// The values in the order of the columns.
    pub fn values(&self) -> &[Value] {
        self.values
    }

    /// The value in the column of this name. `T` is `bool`, an integer, `f64`, `String` (of any type with a text form),
    /// `Vec<u8>`, [`Json<T>`](super::Json), or an `Option` of these for a column that may be null.
    pub fn get<T: FromSql>(&self, column: &str) -> Result<T, Error> {
        let Some(place) = self.columns.iter().position(|candidate| candidate.name == column) else {
            let names: Vec<_> = self.columns.iter().map(|column| column.name.as_str()).collect();
            let message =
                format!("no column {column:?} in the result: it has {}", names.join(", "));
            return Err(Error::new("42703", message));
        };
        T::from_sql(&self.values[place]).map_err(|fault| {
            let type_name = &self.columns[place].type_name;
            Error::new("42804", format!("column {column:?} of type {type_name}: {fault}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Rows {
        let column =
            |name: &str, type_name: &str| Column { name: name.into(), type_name: type_name.into() };
        Rows {
            columns: vec![column("n", "int8"), column("note", "text")],
            rows: vec![vec![Value::Int64(7), Value::Null]],
        }
    }

    #[test]
    fn values_by_name() {
        let rows = rows();
        let row = rows.one().expect("one row");
        assert_eq!(row.get::<u32>("n"), Ok(7));
        assert_eq!(row.get::<Option<String>>("note"), Ok(None));
    }

    #[test]
    fn errors_say_which_column_and_what_it_holds() {
        let rows = rows();
        let row = rows.one().expect("one row");
        let message = |error: Error| error.message;
        assert_eq!(
            row.get::<i64>("m").map_err(message),
            Err("no column \"m\" in the result: it has n, note".into())
        );
        assert_eq!(
            row.get::<String>("note").map_err(message),
            Err("column \"note\" of type text: null, where text was wanted".into())
        );
        assert_eq!(
            row.get::<bool>("n").map_err(message),
            Err("column \"n\" of type int8: Value::Int64(7), where boolean was wanted".into())
        );
    }
}
