//! A schema's keywords, each taken once, and objects in the order in which they are written.

use std::fmt;

use anyhow::{Result, anyhow, bail};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What is said of a value beside its type: it is checked by the host, where it knows the schema.
const BESIDE: &str = "\
    $comment $id $schema contentEncoding contentMediaType default deprecated examples \
    exclusiveMaximum exclusiveMinimum format maxItems maxLength maxProperties maximum minItems \
    minLength minProperties minimum multipleOf pattern uniqueItems";

/// A schema that is an object.
pub(super) struct Node {
    /// As `schemas/order.json#/properties/lines`.
    pub at: String,
    /// Its type's, if it needs one.
    pub name: String,
    pub doc: Option<String>,
    keywords: Members,
}

impl Node {
    pub fn new(raw: &RawValue, at: String, name: String) -> Result<Self> {
        let keywords = serde_json::from_str(raw.get()).map_err(|error| wrong(&at, &error))?;
        let mut node = Self { at, name, doc: None, keywords };
        let said = [node.take::<String>("title")?, node.take::<String>("description")?];
        let lines = said.iter().flatten().flat_map(|text| text.lines()).map(on_one_line);
        let doc = lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n");
        node.doc = (!doc.is_empty()).then_some(doc);
        Ok(node)
    }

    /// The place of a keyword.
    pub fn within(&self, keyword: &str) -> String {
        format!("{}/{keyword}", self.at)
    }

    pub fn take<T: DeserializeOwned>(&mut self, keyword: &str) -> Result<Option<T>> {
        let Some(raw) = self.keywords.take(keyword) else {
            return Ok(None);
        };
        let value = serde_json::from_str(raw.get());
        value.map(Some).map_err(|error| wrong(&self.within(keyword), &error))
    }

    /// Nothing may be left that says something of the type. What is said of it.
    pub fn end(self) -> Result<Option<String>> {
        let left = self
            .keywords
            .iter()
            .find(|(keyword, _)| !BESIDE.split(' ').any(|known| known == *keyword));
        if let Some((keyword, _)) = left {
            bail!(
                "{}: no type says this: leave it out, or keep the file elsewhere than in schemas/",
                self.within(keyword)
            );
        }
        Ok(self.doc)
    }
}

/// Without what a language takes for the end of a line, or can't show.
fn on_one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What is wrong with a part, without the line and column in it.
fn wrong(at: &str, error: &serde_json::Error) -> anyhow::Error {
    let said = error.to_string();
    anyhow!("{at}: {}", said.split(" at line ").next().unwrap_or_default())
}

/// An object's members as they are written.
#[derive(Debug, Default)]
pub(super) struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let place = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(place).1)
    }

    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;

        impl<'de> Visitor<'de> for InOrder {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Members::default();
                while let Some((name, value)) = map.next_entry::<String, _>()? {
                    if members.get(&name).is_some() {
                        return Err(A::Error::custom(format!("{name:?} is there twice")));
                    }
                    members.0.push((name, value));
                }
                Ok(members)
            }
        }

        deserializer.deserialize_map(InOrder)
    }
}
