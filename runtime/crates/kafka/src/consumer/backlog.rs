//! Which topics wait while too many tasks do. Pure.
//!
//! The first half of `max_waiting` is whoever's comes first. Of the second half each topic has an equal part and gets no
//! more, so that topics whose tasks are stuck leave the others theirs. At `max_waiting` every topic waits. A topic that
//! waits goes on at nine tenths of what it waits for.

use std::collections::{HashMap, HashSet};

/// The topics that wait from now on, of those that are heard. `waiting` is exact below `limit` tasks in all.
pub(super) fn full(
    topics: &[String],
    waiting: &HashMap<String, i64>,
    limit: i64,
    before: &HashSet<String>,
) -> HashSet<String> {
    let all: i64 = waiting.values().sum();
    let half = limit / 2;
    let part = (half / topics.len().max(1) as i64).max(1);
    let is_full = |topic: &&String| {
        let reached = |tasks: i64, bound: i64| {
            tasks >= if before.contains(*topic) { bound * 9 / 10 } else { bound }
        };
        let own = waiting.get(*topic).copied().unwrap_or_default();
        reached(all, limit) || (reached(all, half) && reached(own, part))
    };
    topics.iter().filter(is_full).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of topics a, b, c and d, with 800 tasks at most: half is 400, a part 100.
    fn held(waiting: &[(&str, i64)], before: &str) -> String {
        let name = |c: char| c.to_string();
        let topics: Vec<String> = "abcd".chars().map(name).collect();
        let waiting = waiting.iter().map(|(topic, tasks)| ((*topic).to_owned(), *tasks)).collect();
        let full = full(&topics, &waiting, 800, &before.chars().map(name).collect());
        topics.into_iter().filter(|topic| full.contains(topic)).collect()
    }

    #[test]
    fn a_topic_that_is_stuck_waits_alone() {
        assert_eq!(held(&[("a", 399)], ""), "");
        assert_eq!(held(&[("a", 400)], ""), "a");
        assert_eq!(held(&[("a", 400), ("b", 99)], ""), "a");
        assert_eq!(held(&[("a", 400), ("b", 100), ("c", 100)], ""), "abc");
    }

    #[test]
    fn all_wait_at_the_bound_of_all() {
        assert_eq!(held(&[("a", 799)], ""), "a");
        assert_eq!(held(&[("a", 800)], ""), "abcd");
        assert_eq!(held(&[("unheard", 800)], ""), "abcd");
    }

    #[test]
    fn a_topic_goes_on_at_nine_tenths() {
        assert_eq!(held(&[("a", 720)], "abcd"), "abcd");
        assert_eq!(held(&[("a", 719)], "abcd"), "a");
        assert_eq!(held(&[("a", 360)], "a"), "a");
        assert_eq!(held(&[("a", 359)], "a"), "");
        assert_eq!(held(&[("a", 500), ("b", 90)], "ab"), "ab");
        assert_eq!(held(&[("a", 500), ("b", 89)], "ab"), "a");
    }
}
