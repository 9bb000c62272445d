//! Protobuf: files of messages, and values that are one of them.

use std::path::Path;

use bytes::Bytes;
use prost_reflect::{DynamicMessage, FileDescriptor, MessageDescriptor, SerializeOptions};
use protox::{
    Compiler,
    file::{ChainFileResolver, File, FileResolver, GoogleFileResolver},
};

use crate::schema::References;

/// The name under which a schema's own file is compiled.
const MAIN: &str = "wasaga-main.proto";

/// A file with all that it imports.
pub(crate) fn compiled(text: &str, references: &References) -> Result<FileDescriptor, String> {
    let mut files = references.clone();
    files.insert(MAIN.to_owned(), text.to_owned());
    let mut resolver = ChainFileResolver::new();
    resolver.add(Given(files));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).open_file(MAIN).map_err(|error| error.to_string())?;
    let file = compiler.descriptor_pool().get_file_by_name(MAIN);
    file.ok_or_else(|| "it was not compiled".to_owned())
}

/// The message at this place: an index in the file, then in the message there, and so on.
pub(crate) fn message_at(file: &FileDescriptor, path: &[usize]) -> Option<MessageDescriptor> {
    let (first, within) = path.split_first()?;
    let outer = file.messages().nth(*first)?;
    within.iter().try_fold(outer, |outer, index| outer.child_messages().nth(*index))
}

/// Reads a message: JSON text.
pub(crate) fn read(message: MessageDescriptor, value: &[u8]) -> Result<Bytes, String> {
    let name = message.full_name().to_owned();
    let message = DynamicMessage::decode(message, value)
        .map_err(|error| format!("it is no Protobuf message {name}: {error}"))?;
    // As schemas and locators write them: what is absent stands with its default.
    let options = SerializeOptions::new().skip_default_fields(false).use_proto_field_name(true);
    let mut json = Vec::new();
    message
        .serialize_with_options(&mut serde_json::Serializer::new(&mut json), &options)
        .map_err(|error| format!("the message {name} can't be JSON: {error}"))?;
    Ok(json.into())
}

/// The files that a schema refers to, which the registry gave.
struct Given(References);

impl FileResolver for Given {
    fn resolve_path(&self, path: &Path) -> Option<String> {
        Some(path.to_str()?.to_owned())
    }

    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.get(name) {
            Some(source) => File::from_source(name, source),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}
