//! What the schemas of a project say of its payloads, before any language.

/// All payloads of a project.
#[derive(Debug, Default)]
pub(super) struct Payloads {
    /// One a file.
    pub files: Vec<File>,
    /// Each after those that it holds.
    pub types: Vec<Named>,
}

/// A file of schemas/, and the payload that it describes.
#[derive(Debug)]
pub(super) struct File {
    /// As `order.json`.
    pub name: String,
    /// On one line.
    pub schema: String,
    /// The payload's place in the types.
    pub root: usize,
}

/// A type that needs a name in some language.
#[derive(Debug)]
pub(super) struct Named {
    /// In upper camel case, as `OrderLine`: the file's name, and behind it the way into the schema.
    pub name: String,
    pub doc: Option<String>,
    pub kind: Kind,
}

#[derive(Debug)]
pub(super) enum Kind {
    Object(Vec<Field>),
    /// One of these texts.
    Enum(Vec<Name>),
    Array(Type),
    /// Texts to values.
    Map(Type),
}

/// What JSON calls it, and what it is called in code, in upper camel case.
#[derive(Debug)]
pub(super) struct Name {
    pub json: String,
    pub code: String,
}

#[derive(Debug)]
pub(super) struct Field {
    pub name: Name,
    pub doc: Option<String>,
    /// It may be left out.
    pub optional: bool,
    pub of: Type,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Type {
    Boolean,
    Integer,
    Number,
    Text,
    /// Whatever JSON can hold.
    Json,
    Nullable(Box<Type>),
    /// A place in the types.
    Named(usize),
}

impl Payloads {
    /// Whether it is what a file describes.
    pub fn is_payload(&self, place: usize) -> bool {
        self.files.iter().any(|file| file.root == place)
    }

    /// Whether something in them may be any JSON.
    pub fn have_json(&self) -> bool {
        self.types.iter().any(|named| match &named.kind {
            Kind::Object(fields) => fields.iter().any(|field| field.of == Type::Json),
            Kind::Enum(_) => false,
            Kind::Array(of) | Kind::Map(of) => *of == Type::Json,
        })
    }
}

impl Field {
    /// Whether there may be no value: it is null, or left out.
    pub fn may_be_absent(&self) -> bool {
        self.optional || matches!(self.of, Type::Nullable(_))
    }

    /// The type of a value that is there.
    pub fn present(&self) -> &Type {
        match &self.of {
            Type::Nullable(of) => of,
            of => of,
        }
    }
}
