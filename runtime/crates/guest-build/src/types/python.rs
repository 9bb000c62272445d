//! Payloads in Python: dataclasses, which the SDK reads and writes.

use heck::{ToShoutySnakeCase as _, ToSnakeCase as _};

use super::{
    MADE,
    model::{Field, Kind, Named, Payloads, Type},
    names::unless,
};

/// The language's words, and the names that are used here.
const TAKEN: &str = "\
    Any False Literal None True and as assert async await bool break class continue dataclass def \
    del dict elif else except field finally float for from global if import in int is json lambda \
    list nonlocal not or pass raise return str try while with yield self";

/// src/payloads.py.
pub(super) fn emit(payloads: &Payloads) -> String {
    let mut out = vec![format!(
        "# {MADE}\n\nimport json\nfrom dataclasses import dataclass, field\nfrom typing import Any, Literal\n"
    )];
    for file in &payloads.files {
        let name = payloads.types[file.root].name.to_shouty_snake_case();
        // What JSON escapes in a text, Python reads.
        let schema = serde_json::Value::from(file.schema.as_str());
        out.push(format!("\n{name}_SCHEMA: dict[str, Any] = json.loads({schema})\n"));
    }
    for (place, named) in payloads.types.iter().enumerate() {
        out.push(definition(payloads, named, payloads.is_payload(place)));
    }
    out.concat()
}

fn definition(payloads: &Payloads, named: &Named, is_payload: bool) -> String {
    let name = type_name(&named.name);
    let alias = match &named.kind {
        Kind::Object(fields) => {
            let fields: String = fields.iter().map(|held| self::field(payloads, held)).collect();
            let mut parts = vec![doc(named.doc.as_deref()), fields];
            parts.retain(|part| !part.is_empty());
            let body = if parts.is_empty() { "    pass\n".to_owned() } else { parts.join("\n") };
            return format!("\n\n@dataclass(kw_only=True)\nclass {name}:\n{body}");
        }
        Kind::Enum(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| format!("{:?}", text.json)).collect();
            format!("Literal[{}]", texts.join(", "))
        }
        Kind::Array(_) | Kind::Map(_) if is_payload => use_of(payloads, named),
        Kind::Array(_) | Kind::Map(_) => return String::new(),
    };
    let doc = doc(named.doc.as_deref()).trim_start().to_owned();
    format!("\n\n{name} = {alias}\n{doc}")
}

fn field(payloads: &Payloads, field: &Field) -> String {
    let name = unless(TAKEN, field.name.code.to_snake_case());
    let mut of = type_of(payloads, field.present());
    if field.may_be_absent() {
        of += " | None";
    }
    let rename = (name != field.name.json).then(|| format!("\"json\": {:?}", field.name.json));
    let optional = field.optional.then(|| "\"optional\": True".to_owned());
    let known: Vec<_> = [rename, optional].into_iter().flatten().collect();
    let default = if field.optional { "default=None, " } else { "" };
    let default = match &known[..] {
        [] => String::new(),
        known => format!(" = field({default}metadata={{{}}})", known.join(", ")),
    };
    format!("    {name}: {of}{default}\n{}", doc(field.doc.as_deref()))
}

fn type_of(payloads: &Payloads, of: &Type) -> String {
    match of {
        Type::Boolean => "bool".into(),
        Type::Integer => "int".into(),
        Type::Number => "float".into(),
        Type::Text => "str".into(),
        Type::Json => "Any".into(),
        Type::Nullable(of) => format!("{} | None", type_of(payloads, of)),
        Type::Named(place) => use_of(payloads, &payloads.types[*place]),
    }
}

fn use_of(payloads: &Payloads, named: &Named) -> String {
    match &named.kind {
        Kind::Object(_) | Kind::Enum(_) => type_name(&named.name),
        Kind::Array(of) => format!("list[{}]", type_of(payloads, of)),
        Kind::Map(of) => format!("dict[str, {}]", type_of(payloads, of)),
    }
}

fn type_name(name: &str) -> String {
    unless(TAKEN, name.to_owned())
}

/// Behind what it is about.
fn doc(doc: Option<&str>) -> String {
    let Some(doc) = doc else {
        return String::new();
    };
    let doc = doc.replace('\\', "\\\\").replace('"', "\\\"");
    let lines: Vec<_> = doc.lines().collect();
    format!("    \"\"\"{}\"\"\"\n", lines.join("\n    "))
}
