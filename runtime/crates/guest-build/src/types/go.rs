//! Payloads in Go: structs with JSON tags.

use heck::{ToSnakeCase as _, ToUpperCamelCase as _};

use super::{
    MADE,
    model::{Field, Kind, Name, Named, Payloads, Type},
};

/// Words that Go writes in capitals.
const INITIALS: &str = "API HTTP ID IP JSON SQL URI URL UTC UUID";

/// payloads.go.
pub(super) fn emit(payloads: &Payloads) -> String {
    let has_enum = payloads.types.iter().any(|named| matches!(named.kind, Kind::Enum(_)));
    let imports = [
        Some("_ \"embed\""),
        payloads.have_json().then_some("\"encoding/json\""),
        has_enum.then_some("\"fmt\""),
    ];
    let imports: Vec<_> = imports.into_iter().flatten().collect();
    let imports = imports.join("\n\t");
    let mut out = vec![format!("// {MADE}\n\npackage main\n\nimport (\n\t{imports}\n)\n")];
    for file in &payloads.files {
        let name = exported(&payloads.types[file.root].name);
        out.push(format!(
            "\n// {name}Schema is the JSON Schema of {name}.\n//\n//go:embed schemas/{}\nvar {name}Schema []byte\n",
            file.name
        ));
    }
    for (place, named) in payloads.types.iter().enumerate() {
        out.push(declaration(payloads, named, payloads.is_payload(place)));
    }
    out.concat()
}

fn declaration(payloads: &Payloads, named: &Named, is_payload: bool) -> String {
    let name = exported(&named.name);
    let declared = match &named.kind {
        Kind::Object(fields) if fields.is_empty() => format!("type {name} struct{{}}\n"),
        Kind::Object(fields) => {
            format!("type {name} struct {{\n{}}}\n", self::fields(payloads, fields))
        }
        Kind::Enum(texts) => enumeration(&name, texts),
        Kind::Array(_) | Kind::Map(_) if is_payload => {
            format!("type {name} {}\n", use_of(payloads, named))
        }
        Kind::Array(_) | Kind::Map(_) => return String::new(),
    };
    format!("\n{}{declared}", doc(named.doc.as_deref(), ""))
}

/// In columns, as gofmt has them: each field with a comment begins new ones.
fn fields(payloads: &Payloads, fields: &[Field]) -> String {
    let mut out = Vec::new();
    let is_one_block = |_: &Field, next: &Field| next.doc.is_none();
    for block in fields.chunk_by(is_one_block) {
        out.push(doc(block[0].doc.as_deref(), "\t"));
        let of: Vec<_> = block.iter().map(|field| field_type(payloads, field)).collect();
        let names: Vec<_> = block.iter().map(|field| exported(&field.name.code)).collect();
        let (name_width, width) = (widest(&names), widest(&of));
        for ((field, name), of) in block.iter().zip(&names).zip(&of) {
            let omit = if field.optional { ",omitzero" } else { "" };
            let json = &field.name.json;
            out.push(format!("\t{name:name_width$} {of:width$} `json:\"{json}{omit}\"`\n"));
        }
    }
    out.concat()
}

fn widest(texts: &[String]) -> usize {
    texts.iter().map(String::len).max().unwrap_or_default()
}

fn enumeration(name: &str, texts: &[Name]) -> String {
    let names: Vec<_> = texts.iter().map(|text| name.to_owned() + &exported(&text.code)).collect();
    let width = widest(&names);
    let values: Vec<_> = texts
        .iter()
        .zip(&names)
        .map(|(text, value)| format!("\t{value:width$} {name} = {:?}\n", text.json))
        .collect();
    let values = values.concat();
    let known = names.join(", ");
    format!(
        "type {name} string

const (
{values})

// UnmarshalText refuses what is none of its values.
func (value *{name}) UnmarshalText(text []byte) error {{
\tswitch known := {name}(text); known {{
\tcase {known}:
\t\t*value = known
\t\treturn nil
\t}}
\treturn fmt.Errorf(\"%q is no {name}\", text)
}}
"
    )
}

/// What may be absent is a pointer, but for what can be nil itself.
fn field_type(payloads: &Payloads, field: &Field) -> String {
    let of = field.present();
    if field.may_be_absent() { nilable(payloads, of) } else { type_of(payloads, of) }
}

fn nilable(payloads: &Payloads, of: &Type) -> String {
    let shown = type_of(payloads, of);
    let has_nil = match of {
        Type::Json => true,
        Type::Named(place) => {
            matches!(payloads.types[*place].kind, Kind::Array(_) | Kind::Map(_))
        }
        _ => false,
    };
    if has_nil { shown } else { format!("*{shown}") }
}

fn type_of(payloads: &Payloads, of: &Type) -> String {
    match of {
        Type::Boolean => "bool".into(),
        Type::Integer => "int64".into(),
        Type::Number => "float64".into(),
        Type::Text => "string".into(),
        Type::Json => "json.RawMessage".into(),
        Type::Nullable(of) => nilable(payloads, of),
        Type::Named(place) => use_of(payloads, &payloads.types[*place]),
    }
}

fn use_of(payloads: &Payloads, named: &Named) -> String {
    match &named.kind {
        Kind::Object(_) | Kind::Enum(_) => exported(&named.name),
        Kind::Array(of) => format!("[]{}", type_of(payloads, of)),
        Kind::Map(of) => format!("map[string]{}", type_of(payloads, of)),
    }
}

/// `GreetingID` of `GreetingId`.
fn exported(camel: &str) -> String {
    let snake = camel.to_snake_case();
    let words = snake.split('_').map(|word| {
        let capitals = word.to_ascii_uppercase();
        if INITIALS.split(' ').any(|known| known == capitals) {
            capitals
        } else {
            word.to_upper_camel_case()
        }
    });
    words.collect()
}

fn doc(doc: Option<&str>, indent: &str) -> String {
    let lines = doc.into_iter().flat_map(str::lines);
    lines.map(|line| format!("{indent}// {line}\n")).collect::<Vec<_>>().concat()
}
