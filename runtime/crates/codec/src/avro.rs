//! Avro: schemas, and values that fit them.

use std::{
    collections::HashSet,
    io::{self, Read},
};

use apache_avro::{
    reader::datum::GenericDatumReader,
    schema::{Name, NamesRef, ResolvedSchema},
    types::Value as Avro,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use serde_json::{Map, Value};

use crate::schema::References;

/// What the lengths in one value may make its reader allocate at once. A record in the inbox has at most 4 MiB.
const MOST_BYTES: usize = 128 << 20;

/// A schema with those it refers to.
#[derive(Clone, Debug)]
pub(crate) struct Schema {
    own: apache_avro::Schema,
    others: Vec<apache_avro::Schema>,
}

impl Schema {
    pub(crate) fn parse(text: &str, references: &References) -> Result<Self, String> {
        apache_avro::util::max_allocation_bytes(MOST_BYTES);
        let parsed = apache_avro::Schema::parse_str_with_list(text, references.values());
        let (own, others) = parsed.map_err(|error| error.to_string())?;
        let schema = Self { own, others };
        let resolved = schema.resolved().map_err(|error| error.to_string())?;
        let names = resolved.get_names();
        match within_itself(&schema.own, names, &mut Vec::new(), &mut HashSet::new()) {
            // A few bytes of a value would make its reader go down as deep as the stack is.
            Some(name) => {
                Err(format!("{} is within itself, which can't be read", name.fullname(None)))
            }
            None => Ok(schema),
        }
    }

    /// Reads a value: JSON text.
    pub(crate) fn read(&self, value: &[u8]) -> Result<Bytes, String> {
        let mut rest = Whole(value);
        let mut read = || {
            let resolved = self.resolved()?;
            let reader = GenericDatumReader::builder(&self.own);
            let reader = reader.resolved_writer_schemata(resolved).build()?;
            reader.read_value(&mut rest)
        };
        let value = read().map_err(|error: apache_avro::Error| chain(&error))?;
        if !rest.0.is_empty() {
            return Err(format!("{} bytes are left over", rest.0.len()));
        }
        let resolved = self.resolved().map_err(|error| error.to_string())?;
        Ok(json(&self.own, value, resolved.get_names())?.to_string().into())
    }

    fn resolved(&self) -> Result<ResolvedSchema<'_>, apache_avro::Error> {
        ResolvedSchema::new_with_schemata(self.others.iter().chain([&self.own]).collect())
    }
}

/// A value's bytes. Its end is an error: at the end of others some types are read as null.
struct Whole<'a>(&'a [u8]);

impl Read for Whole<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.0.is_empty() && !into.is_empty() {
            return Err(io::Error::other("it ends too early"));
        }
        self.0.read(into)
    }
}

/// The first record that is, at some depth, part of itself.
fn within_itself<'a>(
    schema: &'a apache_avro::Schema,
    names: &'a NamesRef<'a>,
    path: &mut Vec<&'a Name>,
    done: &mut HashSet<&'a Name>,
) -> Option<&'a Name> {
    use apache_avro::Schema as S;
    let mut within = |schema: &'a apache_avro::Schema| within_itself(schema, names, path, done);
    match schema {
        S::Ref { name } => within(names.get(name)?),
        S::Array(array) => within(&array.items),
        S::Map(map) => within(&map.types),
        S::Union(union) => union.variants().iter().find_map(within),
        S::Record(record) if path.contains(&&record.name) => Some(&record.name),
        S::Record(record) if !done.contains(&record.name) => {
            path.push(&record.name);
            let mut fields = record.fields.iter();
            let found = fields.find_map(|field| within_itself(&field.schema, names, path, done));
            path.pop();
            done.insert(&record.name);
            found
        }
        _ => None,
    }
}

/// Bytes are base64, and decimals text, as `"12.50"`.
fn json(schema: &apache_avro::Schema, value: Avro, names: &NamesRef<'_>) -> Result<Value, String> {
    use apache_avro::Schema as S;
    match (schema, value) {
        (S::Ref { name }, value) => {
            let schema =
                names.get(name).ok_or_else(|| format!("there is no {}", name.fullname(None)))?;
            json(schema, value, names)
        }
        (S::Union(union), Avro::Union(index, value)) => {
            let variant = union.get_variant(index as usize).map_err(|error| error.to_string())?;
            json(variant, *value, names)
        }
        (S::Array(array), Avro::Array(items)) => {
            items.into_iter().map(|item| json(&array.items, item, names)).collect()
        }
        (S::Map(map), Avro::Map(items)) => {
            let items = items.into_iter();
            let items = items.map(|(name, item)| Ok((name, json(&map.types, item, names)?)));
            items.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        (S::Record(record), Avro::Record(fields)) => {
            let fields = record.fields.iter().zip(fields);
            let fields =
                fields.map(|(field, (name, value))| Ok((name, json(&field.schema, value, names)?)));
            fields.collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        (S::Decimal(decimal), Avro::Decimal(unscaled)) => {
            let bytes = Vec::try_from(&unscaled).map_err(|error| error.to_string())?;
            let text = decimal_text(&bytes, decimal.scale);
            text.map(Value::String).ok_or_else(|| "a decimal has too many digits".to_owned())
        }
        (_, Avro::Bytes(bytes) | Avro::Fixed(_, bytes)) => Ok(STANDARD.encode(bytes).into()),
        (_, value) => value.try_into().map_err(|error: apache_avro::Error| error.to_string()),
    }
}

/// A number of so many decimal places, whose digits without the point are in `bytes`, most significant first; none where it
/// has more than 38.
fn decimal_text(bytes: &[u8], scale: usize) -> Option<String> {
    let is_negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    let sign_bytes = if is_negative { [0xff; 16] } else { [0; 16] };
    let (before, last) = bytes.split_at(bytes.len().saturating_sub(16));
    let mut number = sign_bytes;
    number[16 - last.len()..].copy_from_slice(last);
    let number = i128::from_be_bytes(number);
    let is_sign = |byte: &u8| *byte == sign_bytes[0];
    if !before.iter().all(is_sign) || (number < 0) != is_negative || scale > 38 {
        return None;
    }
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, places) = digits.split_at(digits.len() - scale);
    let sign = if is_negative { "-" } else { "" };
    Some(if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{places}") })
}

/// An error with its cause.
fn chain(error: &apache_avro::Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(text: &str) -> Result<Schema, String> {
        Schema::parse(text, &References::new())
    }

    fn read(text: &str, value: &[u8]) -> Result<String, String> {
        let read = schema(text).expect("a schema").read(value)?;
        Ok(String::from_utf8(read.to_vec()).expect("JSON is text"))
    }

    #[test]
    fn a_value_must_be_whole() {
        let order = r#"{"type": "record", "name": "O", "fields": [{"name": "id", "type": "string"},
            {"name": "note", "type": ["null", "string"]}, {"name": "paid", "type": "boolean"}]}"#;
        assert_eq!(
            read(order, b"\x02a\0\x01").as_deref(),
            Ok(r#"{"id":"a","note":null,"paid":true}"#)
        );
        for (cut, says) in [
            (&b"\x02a\0"[..], "ends too early"),
            (b"\x02a", "ends too early"),
            (b"\x02", "ends too early"),
            (b"\x02a\0\x01\0", "1 bytes are left over"),
        ] {
            let why = read(order, cut).expect_err(says);
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn decimals_are_text_and_bytes_are_base64() {
        let decimal = r#"{"type": "bytes", "logicalType": "decimal", "precision": 10, "scale": 2}"#;
        for (bytes, text) in [
            (&b"\x02\x64"[..], "1.00"),
            (b"\x04\x04\xb0", "12.00"),
            (b"\x02\xff", "-0.01"),
            (b"\x08\0\0\0\x05", "0.05"),
        ] {
            assert_eq!(read(decimal, bytes), Ok(format!("{text:?}")));
        }
        assert_eq!(decimal_text(&[0x7f; 17], 0), None);
        assert_eq!(read(r#"["null", "bytes"]"#, b"\x02\x04\xff\0"), Ok("\"/wA=\"".into()));
        let map = r#"{"type": "map", "values": {"type": "array", "items": "int"}}"#;
        assert_eq!(read(map, b"\x02\x02k\x04\x02\x04\0\0"), Ok("{\"k\":[1,2]}".into()));
    }

    #[test]
    fn what_takes_no_end_is_refused() {
        let node = r#"{"type": "record", "name": "shop.Node", "fields": [
            {"name": "next", "type": ["null", "Node"]}]}"#;
        let why = schema(node).expect_err("it is within itself");
        assert!(why.contains("shop.Node is within itself"), "{why}");
        let twice = r#"{"type": "record", "name": "Pair", "fields": [
            {"name": "a", "type": {"type": "record", "name": "One", "fields": []}},
            {"name": "b", "type": "One"}]}"#;
        assert_eq!(read(twice, b""), Ok("{\"a\":{},\"b\":{}}".into()));
        let nulls = r#"{"type": "array", "items": "null"}"#;
        let why = read(nulls, b"\x80\xad\xe2\x04\0").expect_err("5,000,000 are too many");
        assert!(why.contains("llocat"), "{why}");
    }
}
