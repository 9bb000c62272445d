//! A plugin's share of a lane: calls of one plugin that all run long leave places for the others.

use std::{
    collections::{HashMap, VecDeque},
    sync::Mutex,
};

use wasaga_domain::ids::PluginName;

use crate::host::locked;

/// What each plugin has under way in a lane, and what waits until some of it has ended.
pub(crate) struct Shares<J> {
    most: usize,
    plugins: Mutex<HashMap<PluginName, Share<J>>>,
}

struct Share<J> {
    running: usize,
    queue: VecDeque<J>,
}

impl<J> Shares<J> {
    /// At most so many jobs of a plugin are under way.
    pub(crate) fn new(most: usize) -> Self {
        Self { most: most.max(1), plugins: Mutex::default() }
    }

    /// The job, where the plugin has a place for it; it waits here otherwise.
    pub(crate) fn enter(&self, plugin: &PluginName, job: J) -> Option<J> {
        let mut plugins = locked(&self.plugins);
        let Some(share) = plugins.get_mut(plugin) else {
            plugins.insert(plugin.clone(), Share { running: 1, queue: VecDeque::new() });
            return Some(job);
        };
        if share.running < self.most {
            share.running += 1;
            return Some(job);
        }
        share.queue.push_back(job);
        None
    }

    /// One of the plugin's jobs has ended: the next one, which takes its place.
    pub(crate) fn leave(&self, plugin: &PluginName) -> Option<J> {
        let mut plugins = locked(&self.plugins);
        let share = plugins.get_mut(plugin)?;
        let next = share.queue.pop_front();
        if next.is_none() {
            share.running -= 1;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_has_its_places_and_no_more() {
        let shares = Shares::new(2);
        let (greedy, other) = ("greedy".parse().expect("a name"), "other".parse().expect("a name"));
        assert_eq!((shares.enter(&greedy, 1), shares.enter(&greedy, 2)), (Some(1), Some(2)));
        assert_eq!((shares.enter(&greedy, 3), shares.enter(&greedy, 4)), (None, None));
        assert_eq!(shares.enter(&other, 5), Some(5), "the others have places of their own");
        assert_eq!(shares.leave(&greedy), Some(3), "in the order in which they came");
        assert_eq!((shares.leave(&greedy), shares.leave(&greedy)), (Some(4), None));
        assert_eq!((shares.enter(&greedy, 6), shares.enter(&greedy, 7)), (Some(6), None));
    }
}
