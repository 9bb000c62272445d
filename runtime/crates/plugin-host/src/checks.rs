//! What a manifest must hold to, by itself and beside the other plugins. Each fault is one sentence: what, where and
//! how to mend it.

use std::{collections::HashSet, sync::Arc};

use wasaga_domain::{
    catalog::{Active, Catalog, Recipient},
    definition::{Definition, Overrides},
    flow::Flow,
    manifest::{HttpTrigger, Locator, Manifest, Saga, Subscription, Trigger},
    schedule::Schedule,
};

use crate::{grants::covers, results::legal_topic};

/// The manifest as it was described.
pub(crate) fn parse(json: &str) -> Result<Manifest, String> {
    serde_json::from_str(json).map_err(|error| {
        format!("manifest: {error}: mend what describe returns, by wit/manifest.schema.json")
    })
}

/// The manifest by itself, beside whether the component exports `steps` and `tasks`.
pub(crate) fn manifest(manifest: &Manifest, steps: bool, tasks: bool) -> Result<(), String> {
    let name = &manifest.name;
    alone(manifest, steps, tasks).map_err(|fault| format!("plugin {name}: {fault}"))
}

fn alone(manifest: &Manifest, steps: bool, tasks: bool) -> Result<(), String> {
    if !semantic(&manifest.version) {
        return Err(format!("version {:?} is not semantic: write it as 1.2.3", manifest.version));
    }
    if !manifest.steps.is_empty() && !steps {
        return Err("its manifest lists steps, and it does not export wasaga:plugin/steps: \
                    export it, or list none"
            .into());
    }
    unique(manifest.steps.iter(), "steps")?;
    unique(manifest.sagas.iter().map(|saga| &saga.name), "sagas")?;
    unique(manifest.subscriptions.iter().map(|heard| &heard.topic), "subscriptions")?;
    for pattern in &manifest.capabilities.topics {
        let prefix = pattern.strip_suffix('*').unwrap_or(pattern);
        if !(pattern == "*" || legal_topic(prefix).is_ok()) {
            return Err(format!(
                "capabilities.topics has {pattern:?}: write a topic's name, or its beginning and *"
            ));
        }
    }
    let asked = &manifest.capabilities;
    if let Some(both) = asked.secrets.iter().find(|key| asked.config_keys.contains(key)) {
        return Err(format!(
            "capabilities.secrets has {both:?}, which is in config_keys too: keep it in one of them"
        ));
    }
    for saga in &manifest.sagas {
        of_saga(manifest, saga).map_err(|fault| format!("saga {:?}: {fault}", saga.name))?;
    }
    unique(starting_topics(manifest).iter(), "topic triggers")?;
    unique(manifest.sagas.iter().flat_map(http).map(|trigger| &trigger.path), "http triggers")?;
    for subscription in &manifest.subscriptions {
        of_subscription(subscription, tasks)
            .map_err(|fault| format!("subscription to {:?}: {fault}", subscription.topic))?;
    }
    of_handled(manifest, tasks)?;
    if !manifest.migrations.is_empty() && !manifest.capabilities.sql {
        return Err("it has migrations without capabilities.sql: ask for sql, or drop them".into());
    }
    for (migration, expected) in manifest.migrations.iter().zip(1..) {
        if migration.version != expected {
            return Err(format!(
                "migration {:?} has version {}: number them from 1 without gaps, here {expected}",
                migration.name, migration.version
            ));
        }
    }
    Ok(())
}

fn of_saga(manifest: &Manifest, saga: &Saga) -> Result<(), String> {
    for step in &saga.steps {
        let own = step.worker.as_ref().is_none_or(|worker| *worker == manifest.name);
        if own && !manifest.steps.contains(&step.name) {
            return Err(format!(
                "step {:?} is this plugin's, and its manifest's steps do not list it: list it, or \
                 name the plugin that runs it as its worker",
                step.name
            ));
        }
    }
    if let Some(schema) = &saga.input_schema {
        jsonschema::validator_for(schema).map_err(|error| {
            format!("input_schema is no JSON Schema: {error} (at {})", error.instance_path())
        })?;
    }
    if let Some(topic) = &saga.lifecycle_topic {
        legal_topic(topic).map_err(|fault| format!("lifecycle_topic names {fault}"))?;
        if !manifest.capabilities.topics.iter().any(|pattern| covers(pattern, topic)) {
            return Err(format!(
                "lifecycle_topic {topic} is not among the topics that it asks for: add it to capabilities.topics"
            ));
        }
    }
    for (topic, _) in &topics(saga) {
        legal_topic(topic).map_err(|fault| format!("a trigger names {fault}"))?;
        if manifest.subscriptions.iter().any(|subscription| subscription.topic == *topic) {
            return Err(format!(
                "topic {topic} is both a trigger and a subscription: its records go to one of them"
            ));
        }
    }
    http(saga).try_for_each(of_trigger)
}

/// The topics whose records start a saga.
fn topics(saga: &Saga) -> Vec<(String, Locator)> {
    let topic = |trigger: &Trigger| match trigger {
        Trigger::Topic { topic, business_key } => Some((topic.clone(), business_key.clone())),
        _ => None,
    };
    saga.triggers.iter().filter_map(topic).collect()
}

/// The topics whose records start any of the plugin's sagas.
fn starting_topics(manifest: &Manifest) -> Vec<String> {
    manifest.sagas.iter().flat_map(topics).map(|(topic, _)| topic).collect()
}

/// When the saga starts by itself.
fn schedule(saga: &Saga) -> Result<Option<Schedule>, String> {
    let mut schedules = saga.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Schedule(schedule) => Some(schedule),
        Trigger::Topic { .. } | Trigger::Http(_) => None,
    });
    match (schedules.next(), schedules.next()) {
        (Some(_), Some(second)) => Err(format!(
            "schedule {:?} is its second one: a saga has one, so join them as \"0 3,15 * * *\", or define another \
             saga",
            second.cron
        )),
        (schedule, _) => schedule.map(Schedule::new).transpose(),
    }
}

fn of_trigger(trigger: &HttpTrigger) -> Result<(), String> {
    let path = &trigger.path;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '/' | '-' | '_' | '.' | '~');
    if !path.starts_with('/') || path.len() < 2 || !path.chars().all(plain) {
        return Err(format!(
            "http trigger {path:?}: a path begins with / and has letters, digits, / - _ . ~ only"
        ));
    }
    let of_sagas = path
        .strip_prefix("/api/v1/sagas")
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if of_sagas || matches!(path.as_str(), "/healthz" | "/readyz" | "/metrics") {
        return Err(format!("http trigger {path:?}: the host's own route: choose another path"));
    }
    if trigger.key_name.is_empty() {
        return Err(format!("http trigger {path:?}: key_name is empty: name the body's field"));
    }
    Ok(())
}

fn of_subscription(subscription: &Subscription, tasks: bool) -> Result<(), String> {
    legal_topic(&subscription.topic)?;
    match &subscription.correlation {
        None if !tasks => {
            Err("without a correlation it goes to handle-in, and the component does \
                               not export wasaga:plugin/tasks: export it, or name a correlation"
                .into())
        }
        Some(Locator::JsonPointer(pointer))
            if !(pointer.is_empty() || pointer.starts_with('/')) =>
        {
            Err(format!("json_pointer {pointer:?} is not of RFC 6901: begin it with /"))
        }
        Some(Locator::Header(name)) if name.is_empty() => {
            Err("header \"\" names no header: name one".into())
        }
        _ => Ok(()),
    }
}

/// The lists of topics in whose tasks the plugin takes part, by their names in the manifest.
const HANDLED: [(&str, Flow); 3] = [
    ("out_topics", Flow::HandleOut),
    ("dead_in_topics", Flow::DeadIn),
    ("dead_out_topics", Flow::DeadOut),
];

fn of_handled(manifest: &Manifest, tasks: bool) -> Result<(), String> {
    for (list, flow) in HANDLED {
        let topics = manifest.handled_topics(flow);
        if !topics.is_empty() && !tasks {
            return Err(format!(
                "{list} names topics, and the component does not export wasaga:plugin/tasks: export it, or name none"
            ));
        }
        unique(topics.iter(), list)?;
        for topic in topics {
            legal_topic(topic).map_err(|fault| format!("{list} names {fault}"))?;
            let asks = manifest.capabilities.topics.iter().any(|pattern| covers(pattern, topic));
            if flow == Flow::HandleOut && !asks {
                return Err(format!(
                    "out_topics names {topic}, which is not among the topics that it asks for: add it to \
                     capabilities.topics"
                ));
            }
        }
    }
    Ok(())
}

/// The definitions as the engine runs them, with what starts them.
pub(crate) fn definitions(
    manifest: &Manifest,
    overrides: &Overrides,
) -> Result<Vec<Active>, String> {
    let active = |saga: &Saga| {
        let definition = Definition::new(saga, &manifest.name, overrides)
            .map_err(|bad| format!("plugin {}: {bad}", manifest.name))?;
        let schedule = schedule(saga)
            .map_err(|fault| format!("plugin {}: saga {:?}: {fault}", manifest.name, saga.name))?;
        Ok(Active {
            definition: Arc::new(definition),
            http: http(saga).cloned().collect(),
            topics: topics(saga),
            schedule: schedule.map(Arc::new),
        })
    };
    manifest.sagas.iter().map(active).collect()
}

/// The manifest beside the other active plugins.
pub(crate) fn beside(manifest: &Manifest, catalog: &Catalog) -> Result<(), String> {
    let name = &manifest.name;
    let others = catalog.plugins.iter().filter(|(other, _)| *other != name);
    for (other, plugin) in others {
        let theirs = &plugin.manifest;
        let both = |saga: &&Saga| theirs.sagas.iter().any(|their| their.name == saga.name);
        if let Some(saga) = manifest.sagas.iter().find(both) {
            return Err(format!(
                "plugin {name}: saga {:?} is defined by plugin {other}: name one of them anew",
                saga.name
            ));
        }
        let mut routes = theirs.sagas.iter().flat_map(http);
        let mine: HashSet<_> =
            manifest.sagas.iter().flat_map(http).map(|trigger| &trigger.path).collect();
        if let Some(route) = routes.find(|route| mine.contains(&route.path)) {
            return Err(format!(
                "plugin {name}: http trigger {:?} belongs to plugin {other}: choose another path",
                route.path
            ));
        }
        let (mine, theirs_start) = (starting_topics(manifest), starting_topics(theirs));
        let hears = |manifest: &Manifest, topic: &String| {
            manifest.subscriptions.iter().any(|subscription| subscription.topic == *topic)
        };
        let taken = |topic: &&String| theirs_start.contains(topic) || hears(theirs, topic);
        let taken = mine.iter().find(taken);
        if let Some(topic) =
            taken.or_else(|| theirs_start.iter().find(|topic| hears(manifest, topic)))
        {
            return Err(format!(
                "plugin {name}: topic {topic:?} is heard by plugin {other} too, and starts sagas of one of them: a topic \
                 has one recipient, so let one of them hear another one"
            ));
        }
        for heard in &manifest.subscriptions {
            let their = theirs.subscriptions.iter().find(|their| their.topic == heard.topic);
            if their.is_some_and(|their| recipient(their, theirs) != recipient(heard, manifest)) {
                return Err(format!(
                    "plugin {name}: topic {:?} is heard by plugin {other} otherwise: a topic has \
                     one recipient, so unsubscribe one of them or give both the same correlation",
                    heard.topic
                ));
            }
        }
        for (list, flow) in HANDLED {
            let theirs = theirs.handled_topics(flow);
            let mut mine = manifest.handled_topics(flow).iter();
            if let Some(topic) = mine.find(|topic| theirs.contains(topic)) {
                return Err(format!(
                    "plugin {name}: {list} names {topic:?}, as plugin {other} does: one plugin takes part in a topic, so \
                     let one of them drop it"
                ));
            }
        }
    }
    Ok(())
}

fn recipient(subscription: &Subscription, manifest: &Manifest) -> Recipient {
    match &subscription.correlation {
        Some(locator) => Recipient::Waits(locator.clone()),
        None => Recipient::Plugin(manifest.name.clone()),
    }
}

fn http(saga: &Saga) -> impl Iterator<Item = &HttpTrigger> {
    saga.triggers.iter().filter_map(|trigger| match trigger {
        Trigger::Http(http) => Some(http),
        Trigger::Topic { .. } | Trigger::Schedule(_) => None,
    })
}

fn unique<'a>(names: impl Iterator<Item = &'a String>, what: &str) -> Result<(), String> {
    let mut seen = HashSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(format!("{what} has {name:?} twice: drop one"));
        }
    }
    Ok(())
}

/// Three numbers, and what may follow them.
fn semantic(version: &str) -> bool {
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Vec<_> = core.split('.').collect();
    let number = |n: &&str| !n.is_empty() && n.chars().all(|c| c.is_ascii_digit());
    numbers.len() == 3 && numbers.iter().all(number)
}

#[cfg(test)]
mod tests;
