//! Payloads in Rust: structs and enums with serde.

use heck::{ToShoutySnakeCase as _, ToSnakeCase as _};

use super::{
    MADE,
    model::{Field, Kind, Name, Named, Payloads, Type},
    names::unless,
};

/// The language's words, and the types that are used here.
const TAKEN: &str = "\
    abstract as async await become box break const continue crate do dyn else enum extern false \
    final fn for gen if impl in let loop macro match mod move mut override priv pub ref return self \
    static struct super trait true try type typeof unsafe unsized use virtual where while yield \
    BTreeMap Option Self String Vec";

/// src/payloads.rs.
pub(super) fn emit(payloads: &Payloads) -> String {
    let mut out = vec![format!("// {MADE}\n\n#![allow(dead_code)]\n\n")];
    if payloads.types.iter().any(|named| matches!(named.kind, Kind::Map(_))) {
        out.push("use std::collections::BTreeMap;\n\n".to_owned());
    }
    out.push("use serde::{Deserialize, Serialize};\n".to_owned());
    for file in &payloads.files {
        let name = &payloads.types[file.root].name;
        out.push(format!("\n/// The JSON Schema of [`{}`].\n", type_name(name)));
        let constant = name.to_shouty_snake_case();
        out.push(format!(
            "pub const {constant}_SCHEMA: &str = include_str!(\"../schemas/{}\");\n",
            file.name
        ));
    }
    for (place, named) in payloads.types.iter().enumerate() {
        out.push(item(payloads, named, payloads.is_payload(place)));
    }
    out.concat()
}

fn item(payloads: &Payloads, named: &Named, is_payload: bool) -> String {
    let name = type_name(&named.name);
    let derived = "Deserialize, Serialize)]";
    let item = match &named.kind {
        Kind::Object(fields) => {
            let fields: String = fields.iter().map(|held| field(payloads, held)).collect();
            format!(
                "#[derive(Clone, Debug, PartialEq, {derived}\npub struct {name} {{\n{fields}}}\n"
            )
        }
        Kind::Enum(texts) => {
            let variants: String = texts.iter().map(variant).collect();
            format!(
                "#[derive(Clone, Copy, Debug, PartialEq, Eq, {derived}\npub enum {name} {{\n{variants}}}\n"
            )
        }
        Kind::Array(_) | Kind::Map(_) if is_payload => {
            format!("pub type {name} = {};\n", use_of(payloads, named))
        }
        Kind::Array(_) | Kind::Map(_) => return String::new(),
    };
    format!("\n{}{item}", doc(named.doc.as_deref(), ""))
}

fn field(payloads: &Payloads, field: &Field) -> String {
    let name = unless(TAKEN, field.name.code.to_snake_case());
    let rename = (name != field.name.json).then(|| format!("rename = {:?}", field.name.json));
    let skip = field.optional.then(|| "skip_serializing_if = \"Option::is_none\"".to_owned());
    let serde = match [rename, skip].into_iter().flatten().collect::<Vec<_>>() {
        none if none.is_empty() => String::new(),
        some => format!("    #[serde({})]\n", some.join(", ")),
    };
    let mut of = type_of(payloads, field.present());
    if field.may_be_absent() {
        of = format!("Option<{of}>");
    }
    format!("{}{serde}    pub {name}: {of},\n", doc(field.doc.as_deref(), "    "))
}

fn variant(Name { json, code }: &Name) -> String {
    let code = unless(TAKEN, code.clone());
    let rename =
        if code == *json { String::new() } else { format!("    #[serde(rename = {json:?})]\n") };
    format!("{rename}    {code},\n")
}

fn type_of(payloads: &Payloads, of: &Type) -> String {
    match of {
        Type::Boolean => "bool".into(),
        Type::Integer => "i64".into(),
        Type::Number => "f64".into(),
        Type::Text => "String".into(),
        Type::Json => "serde_json::Value".into(),
        Type::Nullable(of) => format!("Option<{}>", type_of(payloads, of)),
        Type::Named(place) => use_of(payloads, &payloads.types[*place]),
    }
}

fn use_of(payloads: &Payloads, named: &Named) -> String {
    match &named.kind {
        Kind::Object(_) | Kind::Enum(_) => type_name(&named.name),
        Kind::Array(of) => format!("Vec<{}>", type_of(payloads, of)),
        Kind::Map(of) => format!("BTreeMap<String, {}>", type_of(payloads, of)),
    }
}

fn type_name(name: &str) -> String {
    unless(TAKEN, name.to_owned())
}

fn doc(doc: Option<&str>, indent: &str) -> String {
    let lines = doc.into_iter().flat_map(str::lines);
    lines.map(|line| format!("{indent}/// {line}\n")).collect::<Vec<_>>().concat()
}
