//! Payloads in C: structs, and tables by which the SDK reads and writes them.

use heck::{ToShoutySnakeCase as _, ToSnakeCase as _};

use super::{
    MADE,
    model::{Field, Kind, Name, Named, Payloads, Type},
    names::unless,
};

/// The language's words, and macros of its library.
const TAKEN: &str = "\
    alignas alignof alloca asm assert auto bool break case char const continue default do double \
    else enum errno extern false float for goto if inline int long noreturn register restrict \
    return short signed sizeof static stderr stdin stdout struct switch true typedef typeof union \
    unsigned void volatile while";

/// src/payloads.h.
pub(super) fn emit_header(payloads: &Payloads) -> String {
    let mut out = vec![format!(
        "/* {MADE} */
#ifndef PAYLOADS_H
#define PAYLOADS_H

#include <wasaga.h>
#include <wasaga/payload.h>

/* What may be absent is a pointer, and NULL where it is. */
"
    )];
    for file in &payloads.files {
        let payload = &payloads.types[file.root];
        // On one line there are quotes and backslashes to escape, which C has as JSON.
        let schema = serde_json::Value::from(file.schema.as_str());
        out.push(format!(
            "\n/* The JSON Schema of {}, as text. */\n#define {}_SCHEMA {schema}\n",
            tag(payload),
            payload.name.to_shouty_snake_case(),
        ));
    }
    for (place, named) in payloads.types.iter().enumerate() {
        out.push(format!("\n{}{};\n", doc(named.doc.as_deref(), ""), body(payloads, named)));
        if is_public(payloads, place) {
            out.push(functions(named));
        }
    }
    out.push("\n#endif\n".to_owned());
    out.concat()
}

/// src/payloads.c.
pub(super) fn emit_source(payloads: &Payloads) -> String {
    let mut out = vec![format!("/* {MADE} */\n#include \"payloads.h\"\n")];
    for (place, named) in payloads.types.iter().enumerate() {
        let storage = if is_public(payloads, place) { "" } else { "static " };
        out.push(format!(
            "\n{storage}const wasaga_type {name}_type = {{\n    .name = \"{name}\",\n    .size = sizeof({}),\n{}}};\n",
            tag(named),
            table(payloads, named),
            name = snake(named),
        ));
    }
    out.concat()
}

/// Whether plugins read and write it, and not only what holds it.
fn is_public(payloads: &Payloads, place: usize) -> bool {
    payloads.is_payload(place) || matches!(payloads.types[place].kind, Kind::Object(_))
}

fn snake(named: &Named) -> String {
    unless(TAKEN, named.name.to_snake_case())
}

/// As `struct order_line`.
fn tag(named: &Named) -> String {
    let keyword = if matches!(named.kind, Kind::Enum(_)) { "enum" } else { "struct" };
    format!("{keyword} {}", snake(named))
}

fn body(payloads: &Payloads, named: &Named) -> String {
    let tag = tag(named);
    match &named.kind {
        Kind::Object(fields) => {
            let fields: String = fields.iter().map(|held| field(payloads, held)).collect();
            format!("{tag} {{\n{fields}}}")
        }
        Kind::Enum(texts) => {
            let values = texts.iter().map(|text| enumerator(named, text));
            format!("{tag} {{\n{}}}", values.collect::<String>())
        }
        Kind::Array(of) => {
            let items = declared(payloads, of, "*items");
            format!(
                "{tag} {{\n  size_t count;\n  const {};\n}}",
                items.trim_start_matches("const ")
            )
        }
        Kind::Map(of) => format!(
            "{tag}_entry {{\n  const char *name;\n  {};\n}};\n{tag} {{\n  size_t count;\n  const {tag}_entry *entries;\n}}",
            declared(payloads, of, "value")
        ),
    }
}

fn enumerator(named: &Named, Name { code, .. }: &Name) -> String {
    format!("  {}_{},\n", named.name.to_shouty_snake_case(), code.to_shouty_snake_case())
}

fn field(payloads: &Payloads, field: &Field) -> String {
    let name = unless(TAKEN, field.name.code.to_snake_case());
    let declared = match field.present() {
        of if field.may_be_absent() => absent(payloads, of, &name),
        of => declared(payloads, of, &name),
    };
    format!("{}  {declared};\n", doc(field.doc.as_deref(), "  "))
}

/// A variable of this type.
fn declared(payloads: &Payloads, of: &Type, name: &str) -> String {
    match of {
        Type::Boolean => format!("bool {name}"),
        Type::Integer => format!("int64_t {name}"),
        Type::Number => format!("double {name}"),
        Type::Text => format!("const char *{name}"),
        Type::Json => format!("const wasaga_json *{name}"),
        Type::Nullable(of) => absent(payloads, of, name),
        Type::Named(place) => format!("{} {name}", tag(&payloads.types[*place])),
    }
}

fn absent(payloads: &Payloads, of: &Type, name: &str) -> String {
    match of {
        Type::Text | Type::Json => declared(payloads, of, name),
        of => format!("const {}", declared(payloads, of, &format!("*{name}"))),
    }
}

fn functions(named: &Named) -> String {
    format!(
        "extern const wasaga_type {name}_type;
/* NULL, or the failure to return: what does not fit, and where. */
static inline wasaga_outcome *{name}_read(const wasaga_json *value, {tag} *out) {{
  return wasaga_payload_read(&{name}_type, value, out);
}}
static inline const wasaga_json *{name}_json(const {tag} *value) {{
  return wasaga_payload_json(&{name}_type, value);
}}
",
        name = snake(named),
        tag = tag(named),
    )
}

/// What the SDK reads and writes it by.
fn table(payloads: &Payloads, named: &Named) -> String {
    let tag = tag(named);
    match &named.kind {
        Kind::Object(fields) => {
            let row = |field: &Field| {
                let mut of = type_of(payloads, field.present());
                if field.may_be_absent() {
                    of = format!("WASAGA_NULLABLE({of})");
                }
                let name = unless(TAKEN, field.name.code.to_snake_case());
                let (json, optional) = (&field.name.json, field.optional);
                format!("        {{\"{json}\", {of}, offsetof({tag}, {name}), {optional}}},\n")
            };
            let rows: String = fields.iter().map(row).collect();
            format!(
                "    .shape = WASAGA_IS_OBJECT,\n    .fields = (const wasaga_field[]){{\n{rows}        {{0}},\n    }},\n"
            )
        }
        Kind::Enum(texts) => {
            let texts: Vec<_> = texts.iter().map(|text| format!("\"{}\", ", text.json)).collect();
            let texts = texts.concat();
            format!(
                "    .shape = WASAGA_IS_ENUM,\n    .texts = (const char *const[]){{{texts}NULL}},\n"
            )
        }
        Kind::Array(of) => {
            format!("    .shape = WASAGA_IS_ARRAY,\n    .of = {},\n", type_of(payloads, of))
        }
        Kind::Map(of) => format!(
            "    .shape = WASAGA_IS_MAP,\n    .of = {},\n    .entry = sizeof({tag}_entry),\n    .value = offsetof({tag}_entry, value),\n",
            type_of(payloads, of)
        ),
    }
}

fn type_of(payloads: &Payloads, of: &Type) -> String {
    match of {
        Type::Boolean => "&wasaga_boolean_type".into(),
        Type::Integer => "&wasaga_integer_type".into(),
        Type::Number => "&wasaga_number_type".into(),
        Type::Text => "&wasaga_text_type".into(),
        Type::Json => "&wasaga_json_type".into(),
        Type::Nullable(of) => format!("WASAGA_NULLABLE({})", type_of(payloads, of)),
        Type::Named(place) => format!("&{}_type", snake(&payloads.types[*place])),
    }
}

fn doc(doc: Option<&str>, indent: &str) -> String {
    let Some(doc) = doc else {
        return String::new();
    };
    let lines: Vec<_> = doc.lines().map(|line| line.replace("*/", "* /")).collect();
    format!("{indent}/* {} */\n", lines.join(&format!("\n{indent} * ")))
}
