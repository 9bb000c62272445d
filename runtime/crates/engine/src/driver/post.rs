//! Mail as an event to decide on: all of it, or as far as a migration, which is an event of its own, since steps have
//! other places after it.

use wasaga_domain::mail::{Mail, MailContent, Verb};

use crate::{
    decide::{Event, Migrate},
    definitions::DefinitionSource,
};

/// The first event that this mail of a saga of `definition` makes.
pub(super) async fn event(
    definitions: &dyn DefinitionSource,
    definition: &str,
    mut mail: Vec<Mail>,
) -> Option<Event> {
    let first = mail.iter().position(is_migration).unwrap_or(mail.len());
    if first > 0 {
        mail.truncate(first);
        return Some(Event::Mail(mail));
    }
    let Mail { number, content } = mail.into_iter().next()?;
    let MailContent::Verb { verb: Verb::Migrate(migration), by } = content else { return None };
    let to = definitions.definition(definition, migration.to).await;
    Some(Event::Migrate(Migrate { number, to, map: migration.map, by }))
}

fn is_migration(mail: &Mail) -> bool {
    matches!(mail.content, MailContent::Verb { verb: Verb::Migrate(_), .. })
}
