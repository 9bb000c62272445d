//! An input that fits a JSON schema, where nobody has written one: what the schema itself names, else the least of its type.

use serde_json::{Map, Value, json};

/// Deeper than any input somebody tests by a sample.
const DEPTH: usize = 20;

/// A value for this schema. It fits what `type`, `enum`, `const`, `default`, `examples`, `properties`, `required`, `items`,
/// `minItems`, `minimum` and `minLength` say; `pattern` and conditions it does not know.
pub(crate) fn sample(schema: &Value) -> Value {
    of(schema, schema, DEPTH)
}

fn of(root: &Value, schema: &Value, depth: usize) -> Value {
    if let Some(named) = named(schema) {
        return named;
    }
    if depth == 0 {
        return Value::Null;
    }
    if let Some(path) = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#')) {
        return root.pointer(path).map_or(Value::Null, |schema| of(root, schema, depth - 1));
    }
    for several in ["allOf", "anyOf", "oneOf"] {
        if let Some(first) = schema[several].as_array().and_then(|all| all.first()) {
            return of(root, first, depth - 1);
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds.first().and_then(Value::as_str),
        kind => kind.as_str(),
    };
    match kind {
        Some("object") => object(root, schema, depth),
        None if schema["properties"].is_object() => object(root, schema, depth),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            (0..least).map(|_| of(root, &schema["items"], depth - 1)).collect()
        }
        Some("string") => {
            json!("x".repeat(schema["minLength"].as_u64().unwrap_or(1).max(1) as usize))
        }
        Some("integer" | "number") => {
            let above = schema["exclusiveMinimum"].as_i64().map(|minimum| minimum + 1);
            schema.get("minimum").cloned().unwrap_or_else(|| json!(above.unwrap_or(1)))
        }
        Some("boolean") => json!(true),
        _ => Value::Null,
    }
}

fn named(schema: &Value) -> Option<Value> {
    let first = |name: &str| schema[name].as_array()?.first().cloned();
    let own = |name: &str| schema.get(name).cloned();
    own("const").or_else(|| own("default")).or_else(|| first("examples")).or_else(|| first("enum"))
}

fn object(root: &Value, schema: &Value, depth: usize) -> Value {
    let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let property = |name: &str| {
        let value = of(root, &schema["properties"][name], depth - 1);
        (name.to_owned(), value)
    };
    Value::Object(required.map(property).collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_has_what_is_required_and_the_least_of_it() {
        let schema = json!({
            "type": "object", "required": ["id", "lines", "kind"],
            "properties": {
                "id": { "type": "string", "minLength": 3 },
                "kind": { "enum": ["b2b", "b2c"] },
                "note": { "type": "string" },
                "lines": { "type": "array", "minItems": 1, "items": { "$ref": "#/$defs/line" } },
            },
            "$defs": { "line": { "type": "object", "required": ["cents"],
                "properties": { "cents": { "type": "integer", "minimum": 5 } } } },
        });
        assert_eq!(
            sample(&schema),
            json!({ "id": "xxx", "kind": "b2b", "lines": [{ "cents": 5 }] })
        );
        assert_eq!(sample(&json!({})), Value::Null);
        let endless = json!({ "$ref": "#" });
        assert_eq!(sample(&endless), Value::Null);
    }
}
