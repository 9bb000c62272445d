//! A guest's values in and out of Postgres's binary forms, by the types that Postgres itself infers.

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};
use sqlx::{
    Column, Encode, Postgres, Row, Type, TypeInfo, ValueRef,
    encode::IsNull,
    error::BoxDynError,
    postgres::{PgArgumentBuffer, PgColumn, PgRow, PgTypeInfo, PgTypeKind},
};
use wasaga_domain::sql::{SqlColumn, SqlError, SqlValue};

use crate::guest_numeric;

/// Where Postgres's time begins, in Unix microseconds.
const EPOCH: i64 = 946_684_800_000_000;

/// A parameter in the form of its type.
pub(crate) struct Bound {
    info: PgTypeInfo,
    bytes: Option<Vec<u8>>,
}

impl Type<Postgres> for Bound {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_name("unknown")
    }
}

impl Encode<'_, Postgres> for Bound {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.bytes else {
            return Ok(IsNull::Yes);
        };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.info.clone())
    }
}

/// The parameter `number` (from 1) as the statement takes it; 42804 where it does not fit.
pub(crate) fn bind(number: usize, value: &SqlValue, info: &PgTypeInfo) -> Result<Bound, SqlError> {
    let bytes = match value {
        SqlValue::Null => None,
        value => Some(encode(value, base(info)).map_err(|why| match why {
            Misfit::Type(kind) => SqlError::new(
                "42804",
                format!(
                    "parameter ${number} is {kind}, but the statement takes it as {type_name}: \
                     cast it, as ${number}::{kind}{}",
                    if takes_text(base(info)) {
                        String::new()
                    } else {
                        format!("::{}", type_name(info))
                    },
                    type_name = type_name(info),
                ),
            ),
            Misfit::Value(code, what) => {
                SqlError::new(code, format!("parameter ${number} for {}: {what}", type_name(info)))
            }
        })?),
    };
    Ok(Bound { info: info.clone(), bytes })
}

enum Misfit {
    /// The value's own type, as a cast names it.
    Type(&'static str),
    /// SQLSTATE and what is wrong.
    Value(&'static str, String),
}

fn encode(value: &SqlValue, info: &PgTypeInfo) -> Result<Vec<u8>, Misfit> {
    let malformed =
        |what: &str, text: &str| Misfit::Value("22P02", format!("{text:?} is no {what}"));
    let range = |number: i64| Misfit::Value("22003", format!("{number} is out of range"));
    Ok(match (value, info.name()) {
        (SqlValue::Boolean(value), "BOOL") => vec![u8::from(*value)],
        (SqlValue::Int64(value), "INT2") => {
            i16::try_from(*value).map_err(|_| range(*value))?.to_be_bytes().into()
        }
        (SqlValue::Int64(value), "INT4") => {
            i32::try_from(*value).map_err(|_| range(*value))?.to_be_bytes().into()
        }
        (SqlValue::Int64(value), "INT8") => value.to_be_bytes().into(),
        (SqlValue::Int64(value), "NUMERIC") => {
            guest_numeric::encode(&value.to_string()).ok_or_else(|| range(*value))?
        }
        (SqlValue::Float64(value), "FLOAT4") => (*value as f32).to_be_bytes().into(),
        (SqlValue::Float64(value), "FLOAT8") => value.to_be_bytes().into(),
        (SqlValue::Text(text), _) if takes_text(info) => text.clone().into_bytes(),
        (SqlValue::Bytes(bytes), "BYTEA") => bytes.clone(),
        (SqlValue::Numeric(text), "NUMERIC") => {
            guest_numeric::encode(text).ok_or_else(|| malformed("decimal number", text))?
        }
        (SqlValue::Uuid(text), "UUID") => {
            let uuid: uuid::Uuid = text.parse().map_err(|_| malformed("UUID", text))?;
            uuid.as_bytes().to_vec()
        }
        (SqlValue::Json(text), "JSON") => text.clone().into_bytes(),
        // Version 1 of jsonb's binary form is the text.
        (SqlValue::Json(text), "JSONB") => [&[1], text.as_bytes()].concat(),
        (SqlValue::Timestamp(text), "TIMESTAMPTZ") => {
            let at: Timestamp = text.parse().map_err(|_| malformed("RFC 3339 time", text))?;
            (at.as_microsecond() - EPOCH).to_be_bytes().into()
        }
        (value, _) => return Err(Misfit::Type(cast_name(value))),
    })
}

fn cast_name(value: &SqlValue) -> &'static str {
    match value {
        SqlValue::Null => "unknown",
        SqlValue::Boolean(_) => "boolean",
        SqlValue::Int64(_) => "int8",
        SqlValue::Float64(_) => "float8",
        SqlValue::Text(_) => "text",
        SqlValue::Bytes(_) => "bytea",
        SqlValue::Numeric(_) => "numeric",
        SqlValue::Uuid(_) => "uuid",
        SqlValue::Json(_) => "jsonb",
        SqlValue::Timestamp(_) => "timestamptz",
    }
}

/// A domain's values look like those of the type below it.
fn base(info: &PgTypeInfo) -> &PgTypeInfo {
    match info.kind() {
        PgTypeKind::Domain(inner) => base(inner),
        _ => info,
    }
}

/// Whether the binary form is the text itself.
fn takes_text(info: &PgTypeInfo) -> bool {
    matches!(info.kind(), PgTypeKind::Enum(_))
        || matches!(
            info.name().to_ascii_lowercase().as_str(),
            "text" | "varchar" | "char" | "\"char\"" | "bpchar" | "name" | "unknown" | "citext"
        )
}

fn type_name(info: &PgTypeInfo) -> String {
    info.name().to_ascii_lowercase()
}

/// A result's column, for the guest.
pub(crate) fn column_of(column: &PgColumn) -> SqlColumn {
    SqlColumn { name: column.name().to_owned(), type_name: type_name(column.type_info()) }
}

/// The values of a result's row; 0A000 names a column whose type has no place in a guest's values.
pub(crate) fn values_of(row: &PgRow) -> impl Iterator<Item = Result<SqlValue, SqlError>> {
    row.columns().iter().enumerate().map(|(place, column)| {
        let fault = |what: &str| {
            let SqlColumn { name, type_name } = column_of(column);
            let message = format!(
                "column {} ({name}) of type {type_name}: {what}: cast it to text in the statement",
                place + 1,
            );
            SqlError::new("0A000", message)
        };
        let raw = row.try_get_raw(place).map_err(|error| fault(&error.to_string()))?;
        if raw.is_null() {
            return Ok(SqlValue::Null);
        }
        let bytes = raw.as_bytes().map_err(|error| fault(&error.to_string()))?;
        decode(bytes, base(column.type_info())).map_err(fault)
    })
}

/// Bytes of memory that a value takes: with a number of a few bytes, Postgres can send one of 100 000 digits.
pub(crate) fn memory_of(value: &SqlValue) -> usize {
    let beside = match value {
        SqlValue::Null | SqlValue::Boolean(_) | SqlValue::Int64(_) | SqlValue::Float64(_) => 0,
        SqlValue::Bytes(bytes) => bytes.len(),
        SqlValue::Text(text)
        | SqlValue::Numeric(text)
        | SqlValue::Uuid(text)
        | SqlValue::Json(text)
        | SqlValue::Timestamp(text) => text.len(),
    };
    size_of_val(value) + beside
}

fn decode(bytes: &[u8], info: &PgTypeInfo) -> Result<SqlValue, &'static str> {
    const MALFORMED: &str = "the value is not in the form this host knows";
    const RANGE: &str = "the value is out of this host's range";
    let text =
        |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| "the value is not UTF-8");
    Ok(match info.name() {
        _ if takes_text(info) => SqlValue::Text(text(bytes)?),
        "BOOL" => SqlValue::Boolean(bytes == [1]),
        "INT2" => SqlValue::Int64(i16::from_be_bytes(array(bytes)?).into()),
        "INT4" => SqlValue::Int64(i32::from_be_bytes(array(bytes)?).into()),
        "INT8" => SqlValue::Int64(i64::from_be_bytes(array(bytes)?)),
        "OID" => SqlValue::Int64(u32::from_be_bytes(array(bytes)?).into()),
        "FLOAT4" => SqlValue::Float64(f32::from_be_bytes(array(bytes)?).into()),
        "FLOAT8" => SqlValue::Float64(f64::from_be_bytes(array(bytes)?)),
        "BYTEA" => SqlValue::Bytes(bytes.to_vec()),
        "NUMERIC" => SqlValue::Numeric(guest_numeric::decode(bytes).ok_or(MALFORMED)?),
        "UUID" => SqlValue::Uuid(uuid::Uuid::from_bytes(array(bytes)?).hyphenated().to_string()),
        "JSON" => SqlValue::Json(text(bytes)?),
        "JSONB" => SqlValue::Json(text(bytes.strip_prefix(&[1]).ok_or(MALFORMED)?)?),
        "TIMESTAMPTZ" => {
            SqlValue::Timestamp(time(i64::from_be_bytes(array(bytes)?)).ok_or(RANGE)?.to_string())
        }
        "TIMESTAMP" => {
            let at = time(i64::from_be_bytes(array(bytes)?)).ok_or(RANGE)?;
            SqlValue::Text(at.to_zoned(TimeZone::UTC).datetime().to_string())
        }
        "DATE" => {
            let days = i64::from(i32::from_be_bytes(array(bytes)?));
            let date = civil::date(2000, 1, 1).checked_add(SignedDuration::from_hours(days * 24));
            SqlValue::Text(date.map_err(|_| RANGE)?.to_string())
        }
        "VOID" => SqlValue::Null,
        _ => return Err("guests have no value of this type"),
    })
}

fn array<const N: usize>(bytes: &[u8]) -> Result<[u8; N], &'static str> {
    bytes.try_into().map_err(|_| "the value has another length than its type")
}

/// Microseconds since Postgres's epoch; none outside of the years that RFC 3339 has.
fn time(micros: i64) -> Option<Timestamp> {
    Timestamp::from_microsecond(micros.checked_add(EPOCH)?).ok()
}
