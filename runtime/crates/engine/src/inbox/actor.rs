//! The actor of a flow: finds waiting tasks, hands them to whom they are for, and sees that what follows is written.

mod dispatch;
mod reports;

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use wasaga_domain::{
    ids::{HostId, PluginName, TaskId},
    ports::TaskReport,
};
use wasaga_store::lanes::{Flow, Lane};

use super::{
    FlowLimits, InboxOptions, InboxParts,
    board::{Board, Key, Queued},
    commit::{Delivery, Ended, Fate},
    lanes::Lanes,
    look::Look,
};

/// Tasks in one look, ends or deliveries in one transaction.
const PAGE: i64 = 1000;
const BATCH: usize = 256;
/// So many messages on their way out are known at a time. They are looked at in one statement, always from the first: of one
/// key, a message is known before one whose emit began after its commit.
const OUT_PAGE: i64 = 20_000;
/// How often to look for messages on their way out, which nobody announces.
const OUT_POLL: Duration = Duration::from_millis(50);
/// With so many keys ready no more tasks are looked for; and never so many are known that memory is at stake.
const ENOUGH: usize = 1000;
const KNOWN: usize = 250_000;

/// A call under way.
#[derive(Clone, Debug)]
struct Call {
    key: Key,
    task: Queued,
    lane: Lane,
    plugin: PluginName,
    idempotency_key: String,
}

/// What comes back to the actor; `life` is the host's, so that what a former life began is not taken for this one's.
enum Event {
    Reported { life: u64, call: Box<Call>, report: TaskReport },
    Written { life: u64, fates: Vec<(Ended, Fate)> },
    GuestWritten { life: u64, call: Box<Call>, ended: Ended, fate: Fate },
    Delivered { life: u64, fates: Vec<(Delivery, Fate)> },
}

pub(super) struct Actor {
    flow: Flow,
    parts: InboxParts,
    options: InboxOptions,
    limits: FlowLimits,
    /// In whose tasks plugins take part, of any flow but `in`.
    topics: Vec<String>,
    events: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    commits: JoinSet<()>,
    host: Option<HostId>,
    life: u64,
    lanes: Lanes,
    board: Board,
    look: Look,
    /// The last look ended before the tasks did.
    more: bool,
    calls: HashMap<PluginName, usize>,
    ended: Vec<Ended>,
    writing: bool,
    delivering: bool,
    warned: HashMap<String, Instant>,
}

impl Actor {
    pub(super) fn new(flow: Flow, parts: InboxParts, options: InboxOptions) -> Self {
        let (sender, events) = mpsc::unbounded_channel();
        Self {
            flow,
            parts,
            limits: options.limits(flow).clone(),
            options,
            topics: Vec::new(),
            events,
            sender,
            commits: JoinSet::new(),
            host: None,
            life: 0,
            lanes: Lanes::new(flow),
            board: Board::default(),
            look: Look::new(),
            more: false,
            calls: HashMap::new(),
            ended: Vec::new(),
            writing: false,
            delivering: false,
            warned: HashMap::new(),
        }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut looks = true;
        while !stop.is_cancelled() {
            let round = async {
                self.follow_host();
                self.follow_plugins();
                self.look_at_lanes().await;
                if looks {
                    self.find().await;
                }
                self.dispatch().await;
            };
            // What a stop interrupts here are reads and leases, nothing that would be lost.
            if stop.run_until_cancelled(round).await.is_none() {
                break;
            }
            self.write();
            let poll = self.poll();
            let pause = self
                .board
                .next_due(Instant::now())
                .map_or(poll, |due| due.clamp(Duration::from_millis(1), poll));
            looks = tokio::select! {
                () = stop.cancelled() => break,
                event = self.events.recv() => {
                    self.take_events(event);
                    self.more && self.board.ready() < ENOUGH / 2
                }
                () = self.parts.stored.notified() => true,
                _ = self.parts.host.changed() => true,
                () = sleep(pause) => true,
            };
        }
        self.drain().await;
    }

    fn poll(&self) -> Duration {
        if self.flow == Flow::HandleOut && !self.topics.is_empty() {
            self.options.poll.min(OUT_POLL)
        } else {
            self.options.poll
        }
    }

    /// Takes up what has come in the meantime too, so that it is committed together.
    fn take_events(&mut self, first: Option<Event>) {
        let mut next = first;
        while let Some(event) = next {
            self.on(event);
            next = self.events.try_recv().ok();
        }
    }

    /// Waits for calls and commits under way, and gives the lanes back.
    async fn drain(&mut self) {
        let grace = self.options.grace;
        let drained = timeout(grace, async {
            while self.writing
                || self.delivering
                || !self.calls.is_empty()
                || !self.ended.is_empty()
                || !self.commits.is_empty()
            {
                self.write();
                tokio::select! {
                    event = self.events.recv() => self.take_events(event),
                    Some(_) = self.commits.join_next() => {}
                }
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                calls = self.calls.values().sum::<usize>(),
                "the inbox stops with calls or commits under way"
            );
        }
        self.commits.shutdown().await;
        let Some(host) = self.host else { return };
        let released =
            timeout(Duration::from_secs(2), self.lanes.release(&self.parts.store, host)).await;
        if !matches!(released, Ok(Ok(()))) {
            tracing::warn!("the inbox's lanes stay leased until the host's lease ends");
        }
    }

    /// With a lease ends all that was known under it.
    fn follow_host(&mut self) {
        let host = *self.parts.host.borrow_and_update();
        if host != self.host {
            self.host = host;
            self.life += 1;
            self.lanes.clear();
            self.board = Board::default();
            (self.look, self.more) = (Look::new(), false);
            self.ended.clear();
            (self.writing, self.delivering) = (false, false);
        }
    }

    /// Which topics there are to look for. What was passed over for want of a plugin is found from the first on.
    fn follow_plugins(&mut self) {
        let topics = self.parts.catalog.catalog().handled_topics(self.flow);
        if topics != self.topics {
            self.topics = topics;
            (self.look, self.more) = (Look::new(), false);
        }
    }

    async fn look_at_lanes(&mut self) {
        if self.flow != Flow::In && self.topics.is_empty() {
            return;
        }
        let Some(host) = self.host.filter(|_| self.lanes.is_due()) else {
            return;
        };
        let board = &self.board;
        match self.lanes.look(&self.parts.store, host, |lane| board.works_on(lane)).await {
            Ok(None) => {}
            Ok(Some(stayed)) => {
                self.board.keep_lanes(|lane| stayed.contains(&lane));
                (self.look, self.more) = (Look::new(), false);
            }
            Err(error) => tracing::warn!(%error, "the inbox can't look at its lanes"),
        }
    }

    /// Takes up waiting tasks. Commits' reports wait meanwhile, so that a task which ends now is known still, and is
    /// not taken for a new one.
    async fn find(&mut self) {
        let lanes = self.lanes.numbers();
        if lanes.is_empty() || self.flow != Flow::In && self.topics.is_empty() {
            return;
        }
        let (mut from, page) = if self.flow == Flow::HandleOut {
            (TaskId(0), OUT_PAGE)
        } else {
            (self.look.from(self.more), PAGE)
        };
        self.more = true;
        while self.board.ready() < ENOUGH && self.board.len() < KNOWN {
            let store = &self.parts.store;
            let found = match store.tasks_find(self.flow, &lanes, &self.topics, from, page).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, flow = self.flow.as_str(), "the inbox can't look for tasks");
                    return;
                }
            };
            let now = Instant::now();
            for task in &found {
                self.board.add(task, now);
            }
            if let Some(last) = found.last() {
                from = last.id;
                self.look.reached(last.id);
            }
            if found.len() < page as usize || self.flow == Flow::HandleOut {
                self.more = false;
                return;
            }
        }
    }
}
