//! Rust values as SQL parameters, and SQL values as Rust ones.

use serde::{Serialize, de::DeserializeOwned};

use super::Value;

/// A value that can be a statement's parameter.
pub trait ToSql {
    /// The parameter.
    fn to_sql(&self) -> Value;
}

/// A value that can be read from a column.
pub trait FromSql: Sized {
    /// The value, or what is wrong with it.
    fn from_sql(value: &Value) -> Result<Self, String>;
}

/// JSON in and out of `json` and `jsonb`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Json<T>(pub T);

/// The text of a `uuid` parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uuid<'a>(pub &'a str);

/// The decimal digits of a `numeric` parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Numeric<'a>(pub &'a str);

/// A `timestamptz` parameter, RFC 3339 in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timestamp<'a>(pub &'a str);

macro_rules! to_sql {
    ($($type:ty: $value:ident => $sql:expr;)+) => {
        $(impl ToSql for $type {
            fn to_sql(&self) -> Value {
                let $value = self;
                $sql
            }
        })+
    };
}

to_sql! {
    bool: value => Value::Boolean(*value);
    i16: value => Value::Int64((*value).into());
    i32: value => Value::Int64((*value).into());
    i64: value => Value::Int64(*value);
    u16: value => Value::Int64((*value).into());
    u32: value => Value::Int64((*value).into());
    f64: value => Value::Float64(*value);
    str: value => Value::Text(value.into());
    &str: value => Value::Text((*value).into());
    String: value => Value::Text(value.clone());
    [u8]: value => Value::Bytes(value.into());
    &[u8]: value => Value::Bytes((*value).into());
    Vec<u8>: value => Value::Bytes(value.clone());
    Value: value => value.clone();
    Uuid<'_>: value => Value::Uuid(value.0.into());
    Numeric<'_>: value => Value::Numeric(value.0.into());
    Timestamp<'_>: value => Value::Timestamp(value.0.into());
}

impl<T: ToSql> ToSql for Option<T> {
    fn to_sql(&self) -> Value {
        self.as_ref().map_or(Value::Null, ToSql::to_sql)
    }
}

impl<T: Serialize> ToSql for Json<T> {
    fn to_sql(&self) -> Value {
        Value::Json(serde_json::to_string(&self.0).expect("a value that serializes to JSON"))
    }
}

fn unfit<T>(value: &Value, wanted: &str) -> Result<T, String> {
    match value {
        Value::Null => Err(format!("null, where {wanted} was wanted")),
        other => Err(format!("{other:?}, where {wanted} was wanted")),
    }
}

impl FromSql for bool {
    fn from_sql(value: &Value) -> Result<Self, String> {
        if let Value::Boolean(value) = value { Ok(*value) } else { unfit(value, "boolean") }
    }
}

macro_rules! integer_from_sql {
    ($($type:ty),+) => {
        $(impl FromSql for $type {
            fn from_sql(value: &Value) -> Result<Self, String> {
                match value {
                    Value::Int64(number) => (*number).try_into().or_else(|_| unfit(value, stringify!($type))),
                    _ => unfit(value, stringify!($type)),
                }
            }
        })+
    };
}

integer_from_sql!(i16, i32, i64, u16, u32, u64);

impl FromSql for f64 {
    fn from_sql(value: &Value) -> Result<Self, String> {
        if let Value::Float64(value) = value { Ok(*value) } else { unfit(value, "a float") }
    }
}

impl FromSql for String {
    fn from_sql(value: &Value) -> Result<Self, String> {
        match value {
            Value::Text(text)
            | Value::Numeric(text)
            | Value::Uuid(text)
            | Value::Json(text)
            | Value::Timestamp(text) => Ok(text.clone()),
            _ => unfit(value, "text"),
        }
    }
}

impl FromSql for Vec<u8> {
    fn from_sql(value: &Value) -> Result<Self, String> {
        if let Value::Bytes(bytes) = value { Ok(bytes.clone()) } else { unfit(value, "bytes") }
    }
}

impl<T: DeserializeOwned> FromSql for Json<T> {
    fn from_sql(value: &Value) -> Result<Self, String> {
        let Value::Json(text) = value else {
            return unfit(value, "JSON");
        };
        serde_json::from_str(text).map(Json).map_err(|error| error.to_string())
    }
}

impl<T: FromSql> FromSql for Option<T> {
    fn from_sql(value: &Value) -> Result<Self, String> {
        if *value == Value::Null { Ok(None) } else { T::from_sql(value).map(Some) }
    }
}
