//! JSON Schema into the model. What has no type is refused, with the file and the place in it.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json, value::RawValue};

use super::{
    keywords::{Members, Node},
    model::{Field, File, Kind, Name, Named, Payloads, Type},
    names::camel,
};

/// The payloads of these files of schemas/: names as `order.json`, and texts.
pub(super) fn read(files: &[(String, String)]) -> Result<Payloads> {
    let mut payloads = Payloads::default();
    let mut taken = HashMap::new();
    for (file, text) in files {
        let at = format!("schemas/{file}");
        let schema: Value = serde_json::from_str(text).with_context(|| at.clone())?;
        let name = camel(file.strip_suffix(".json").unwrap_or(file), &at)?;
        let mut root = Node::new(serde_json::from_str(text)?, format!("{at}#"), name.clone())?;
        let definitions = root.take("$defs")?.unwrap_or_default();
        let (types, read) = (&mut payloads.types, HashMap::new());
        let mut reader =
            Reader { at: root.at.clone(), name, definitions, read, types, taken: &mut taken };
        let root = reader.payload(root)?;
        payloads.files.push(File { name: file.clone(), schema: schema.to_string(), root });
    }
    Ok(payloads)
}

/// Reads one file.
struct Reader<'a> {
    at: String,
    /// The payload's.
    name: String,
    definitions: Members,
    /// The types of definitions; none while one is read.
    read: HashMap<String, Option<Type>>,
    types: &'a mut Vec<Named>,
    /// Where a type's name comes from.
    taken: &'a mut HashMap<String, String>,
}

impl Reader<'_> {
    fn payload(&mut self, root: Node) -> Result<usize> {
        match self.node(root)?.0 {
            Type::Named(place) if self.types[place].name == self.name => Ok(place),
            _ => bail!("{}: a payload is an object, an array or an enum of its own", self.at),
        }
    }

    /// A type, and what is said of it.
    fn schema(
        &mut self,
        raw: &RawValue,
        at: String,
        name: String,
    ) -> Result<(Type, Option<String>)> {
        match raw.get() {
            "true" => Ok((Type::Json, None)),
            "false" => bail!("{at}: no value fits `false`"),
            _ => self.node(Node::new(raw, at, name)?),
        }
    }

    fn node(&mut self, mut node: Node) -> Result<(Type, Option<String>)> {
        let of = self.of(&mut node)?;
        Ok((of, node.end()?))
    }

    fn of(&mut self, node: &mut Node) -> Result<Type> {
        if let Some(target) = node.take::<String>("$ref")? {
            return self.definition(&target, &node.within("$ref"));
        }
        for keyword in ["anyOf", "oneOf"] {
            if let Some(choices) = node.take::<Vec<Box<RawValue>>>(keyword)? {
                return self.or_null(&choices, &node.within(keyword), &node.name);
            }
        }
        let kind = node.take::<Value>("type")?;
        if let Some(value) = node.take::<Value>("const")? {
            return self.constant(value, node);
        }
        if let Some(values) = node.take::<Vec<Option<Value>>>("enum")? {
            return self.one_of(values, node);
        }
        let (kind, nullable) = kind_and_null(kind, node)?;
        let of = match &*kind {
            "boolean" => Type::Boolean,
            "integer" => Type::Integer,
            "number" => Type::Number,
            "string" => Type::Text,
            "array" => self.array(node)?,
            "object" => self.object(node)?,
            _ => bail!("{}: {kind:?} alone has no type", node.within("type")),
        };
        Ok(if nullable { nullable_of(of) } else { of })
    }

    /// What `$ref` names.
    fn definition(&mut self, target: &str, at: &str) -> Result<Type> {
        let known = target.strip_prefix("#/$defs/").filter(|name| !name.contains(['/', '~', '%']));
        let Some(name) = known else {
            bail!("{at}: {target:?} is no `#/$defs/NAME` of the same file");
        };
        match self.read.get(name) {
            Some(Some(of)) => return Ok(of.clone()),
            Some(None) => bail!("{at}: {target:?} holds itself, and has no type"),
            None => {}
        }
        let Some(raw) = self.definitions.get(name).map(ToOwned::to_owned) else {
            bail!("{at}: there is no {target:?}");
        };
        self.read.insert(name.to_owned(), None);
        let at = format!("{}/$defs/{name}", self.at);
        let full = self.name.clone() + &camel(name, &at)?;
        let (of, _) = self.schema(&raw, at, full)?;
        self.read.insert(name.to_owned(), Some(of.clone()));
        Ok(of)
    }

    /// A choice of a schema and null.
    fn or_null(&mut self, choices: &[Box<RawValue>], at: &str, name: &str) -> Result<Type> {
        let null = json!({"type": "null"});
        let is_null = |raw: &RawValue| serde_json::from_str(raw.get()).ok().as_ref() == Some(&null);
        let others: Vec<_> = choices.iter().enumerate().filter(|(_, raw)| !is_null(raw)).collect();
        match others[..] {
            [(place, raw)] if choices.len() == 2 => {
                let (of, _) = self.schema(raw, format!("{at}/{place}"), name.to_owned())?;
                Ok(nullable_of(of))
            }
            _ => bail!("{at}: only a choice of one schema and {null} has a type"),
        }
    }

    /// A number's or a boolean's says no more of its type than `type` does.
    fn constant(&mut self, value: Value, node: &Node) -> Result<Type> {
        match value {
            Value::String(text) => {
                let texts = names(std::iter::once(&*text), &node.within("const"))?;
                self.named(node, Kind::Enum(texts))
            }
            Value::Bool(_) => Ok(Type::Boolean),
            Value::Number(number) if number.is_f64() => Ok(Type::Number),
            Value::Number(_) => Ok(Type::Integer),
            _ => bail!("{}: only a text, a number or a boolean has a type", node.within("const")),
        }
    }

    fn one_of(&mut self, values: Vec<Option<Value>>, node: &Node) -> Result<Type> {
        let at = node.within("enum");
        let nullable = values.contains(&None);
        let text = |value| match value {
            Value::String(text) => Ok(text),
            other => bail!("{at}: {other} is no text: only texts and null have a type"),
        };
        let texts: Vec<String> = values.into_iter().flatten().map(text).collect::<Result<_>>()?;
        let of = self.named(node, Kind::Enum(names(texts.iter().map(String::as_str), &at)?))?;
        Ok(if nullable { nullable_of(of) } else { of })
    }

    fn array(&mut self, node: &mut Node) -> Result<Type> {
        let Some(items) = node.take::<Box<RawValue>>("items")? else {
            bail!("{}: say by `items` what the array holds", node.at);
        };
        let (of, _) = self.schema(&items, node.within("items"), format!("{}Item", node.name))?;
        self.named(node, Kind::Array(of))
    }

    fn object(&mut self, node: &mut Node) -> Result<Type> {
        let properties = node.take::<Members>("properties")?;
        let required = node.take::<Vec<String>>("required")?.unwrap_or_default();
        let others = node.take::<Box<RawValue>>("additionalProperties")?;
        let kind = match (properties, others.as_deref().map(RawValue::get)) {
            // Fields that are not known are passed over, whether or not there may be any.
            (Some(properties), None | Some("true" | "false")) => {
                self.fields(&properties, &required, node)?
            }
            (Some(_), Some(_)) => bail!(
                "{}: an object has `properties`, or is a map: what is both has no type",
                node.within("additionalProperties")
            ),
            (None, None | Some("false")) => bail!(
                "{}: say by `properties` what the object has, or by `additionalProperties` what a map holds",
                node.at
            ),
            (None, Some(value)) => {
                let at = node.within("additionalProperties");
                let raw = serde_json::from_str(value)?;
                Kind::Map(self.schema(raw, at, format!("{}Value", node.name))?.0)
            }
        };
        self.named(node, kind)
    }

    fn fields(&mut self, properties: &Members, required: &[String], node: &Node) -> Result<Kind> {
        let at = node.within("properties");
        let names = names(properties.iter().map(|(name, _)| name), &at)?;
        if let Some(missing) = required.iter().find(|name| properties.get(name).is_none()) {
            bail!("{}: `properties` has no {missing:?}", node.within("required"));
        }
        let field = |(name, (_, raw)): (Name, (&str, &RawValue))| {
            let at = format!("{at}/{}", name.json.replace('~', "~0").replace('/', "~1"));
            let (of, doc) = self.schema(raw, at, format!("{}{}", node.name, name.code))?;
            let optional = !required.contains(&name.json);
            Ok(Field { name, doc, optional, of })
        };
        let fields = names.into_iter().zip(properties.iter()).map(field);
        Ok(Kind::Object(fields.collect::<Result<_>>()?))
    }

    /// Adds a type, whose name no other has.
    fn named(&mut self, node: &Node, kind: Kind) -> Result<Type> {
        let Node { at, name, doc, .. } = node;
        if let Some(other) = self.taken.insert(name.clone(), at.clone()) {
            bail!("{at}: its type would be {name}, as is that of {other}: rename one of them");
        }
        self.types.push(Named { name: name.clone(), doc: doc.clone(), kind });
        Ok(Type::Named(self.types.len() - 1))
    }
}

/// What `type` says: a name, or a name and null.
fn kind_and_null(kind: Option<Value>, node: &Node) -> Result<(String, bool)> {
    match kind {
        Some(Value::String(kind)) => return Ok((kind, false)),
        Some(Value::Array(kinds)) => {
            if let [Value::String(one), Value::String(other)] = &kinds[..] {
                match (&**one, &**other) {
                    (kind, "null") | ("null", kind) => return Ok((kind.to_owned(), true)),
                    _ => {}
                }
            }
        }
        Some(_) => {}
        None => bail!("{}: say its `type`, or `true` in its place for any JSON", node.at),
    }
    bail!("{}: only one type, or one and \"null\", has one here", node.within("type"))
}

fn nullable_of(of: Type) -> Type {
    match of {
        // Null is among them.
        Type::Nullable(_) | Type::Json => of,
        of => Type::Nullable(Box::new(of)),
    }
}

/// What they are called in code, each otherwise than the others.
fn names<'n>(all: impl Iterator<Item = &'n str>, at: &str) -> Result<Vec<Name>> {
    let mut names: Vec<Name> = Vec::new();
    for json in all {
        let code = camel(json, at)?;
        if let Some(other) = names.iter().find(|other| other.code == code) {
            bail!("{at}: {:?} and {json:?} are both {code} in code", other.json);
        }
        names.push(Name { json: json.to_owned(), code });
    }
    Ok(names)
}
