//! Payloads in TypeScript, and for JavaScript: interfaces.

use super::{
    MADE,
    model::{Field, Kind, Named, Payloads, Type},
    names::unless,
};

/// The type that is imported here.
const TAKEN: &str = "Json";

/// src/payloads.d.ts.
pub(super) fn emit(payloads: &Payloads) -> String {
    let mut out = format!("// {MADE}\n");
    if payloads.have_json() {
        out += "\nimport type { Json } from \"wasaga-guest\";\n";
    }
    for (place, named) in payloads.types.iter().enumerate() {
        out += &declaration(payloads, named, payloads.is_payload(place));
    }
    out
}

fn declaration(payloads: &Payloads, named: &Named, is_payload: bool) -> String {
    let name = type_name(&named.name);
    let declared = match &named.kind {
        Kind::Object(fields) => {
            let fields: String = fields.iter().map(|held| field(payloads, held)).collect();
            format!("export interface {name} {{\n{fields}}}\n")
        }
        Kind::Enum(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| format!("{:?}", text.json)).collect();
            format!("export type {name} = {};\n", texts.join(" | "))
        }
        Kind::Array(_) | Kind::Map(_) if is_payload => {
            format!("export type {name} = {};\n", use_of(payloads, named))
        }
        Kind::Array(_) | Kind::Map(_) => return String::new(),
    };
    format!("\n{}{declared}", doc(named.doc.as_deref(), ""))
}

fn field(payloads: &Payloads, Field { name, doc, optional, of }: &Field) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '$';
    let is_name =
        name.json.chars().all(is_plain) && !name.json.starts_with(|c: char| c.is_ascii_digit());
    let name = if is_name { name.json.clone() } else { format!("{:?}", name.json) };
    let optional = if *optional { "?" } else { "" };
    let of = type_of(payloads, of);
    format!("{}  {name}{optional}: {of};\n", self::doc(doc.as_deref(), "  "))
}

fn type_of(payloads: &Payloads, of: &Type) -> String {
    match of {
        Type::Boolean => "boolean".into(),
        Type::Integer | Type::Number => "number".into(),
        Type::Text => "string".into(),
        Type::Json => "Json".into(),
        Type::Nullable(of) => format!("{} | null", type_of(payloads, of)),
        Type::Named(place) => use_of(payloads, &payloads.types[*place]),
    }
}

fn use_of(payloads: &Payloads, named: &Named) -> String {
    match &named.kind {
        Kind::Object(_) | Kind::Enum(_) => type_name(&named.name),
        Kind::Array(of @ Type::Nullable(_)) => format!("({})[]", type_of(payloads, of)),
        Kind::Array(of) => format!("{}[]", type_of(payloads, of)),
        Kind::Map(of) => format!("{{ [name: string]: {} }}", type_of(payloads, of)),
    }
}

fn type_name(name: &str) -> String {
    unless(TAKEN, name.to_owned())
}

fn doc(doc: Option<&str>, indent: &str) -> String {
    let Some(doc) = doc else {
        return String::new();
    };
    let doc = doc.replace("*/", "* /");
    match doc.lines().collect::<Vec<_>>()[..] {
        [line] => format!("{indent}/** {line} */\n"),
        ref lines => {
            let lines = lines.join(&format!("\n{indent} * "));
            format!("{indent}/**\n{indent} * {lines}\n{indent} */\n")
        }
    }
}
