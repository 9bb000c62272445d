//! The actor of a flow: finds waiting tasks, hands them to whom they are for, and sees that what follows is written.

mod dispatch;
mod find;
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
    ids::{HostId, PluginName},
    ports::TaskReport,
};
use wasaga_store::lanes::{Flow, Lane};

use super::{
    FlowLimits, InboxOptions, InboxParts,
    board::{Board, Key, Queued},
    commit::{Delivery, Ended, Fate},
    lanes::Lanes,
    look::Look,
    look_out::LookOut,
};

/// Ends or deliveries in one transaction.
const BATCH: usize = 256;

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
    look_out: LookOut,
    /// The last look ended before the tasks did.
    more: bool,
    /// When the last look ended, and how long it took.
    looked: Instant,
    took: Duration,
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
            look_out: LookOut::new(),
            more: false,
            looked: Instant::now(),
            took: Duration::ZERO,
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
            let due = self.board.next_due(Instant::now()).unwrap_or(Duration::MAX);
            let pause = due.min(self.until_look()).max(Duration::from_millis(1));
            looks = tokio::select! {
                () = stop.cancelled() => break,
                event = self.events.recv() => {
                    self.take_events(event);
                    self.wants_more() || self.until_look().is_zero()
                }
                () = self.parts.stored.notified() => true,
                _ = self.parts.host.changed() => true,
                () = sleep(pause) => self.until_look().is_zero(),
            };
        }
        self.drain().await;
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
            loop {
                self.write();
                if !self.is_busy() {
                    break;
                }
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

    /// Whether calls or commits are under way, or are to be.
    fn is_busy(&self) -> bool {
        self.writing
            || self.delivering
            || !self.calls.is_empty()
            || !self.ended.is_empty()
            || !self.commits.is_empty()
    }

    /// With a lease ends all that was known under it.
    fn follow_host(&mut self) {
        let host = *self.parts.host.borrow_and_update();
        if host != self.host {
            self.host = host;
            self.life += 1;
            self.lanes.clear();
            self.board = Board::default();
            self.look_anew();
            self.ended.clear();
            (self.writing, self.delivering) = (false, false);
        }
    }

    /// Which topics there are to look for. What was passed over for want of a plugin is found from the first on.
    fn follow_plugins(&mut self) {
        let topics = self.parts.catalog.catalog().handled_topics(self.flow);
        if topics != self.topics {
            self.topics = topics;
            self.look_anew();
        }
    }

    /// The next look is from the first task on.
    fn look_anew(&mut self) {
        self.look.begin();
        (self.look_out, self.more) = (LookOut::new(), false);
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
                self.look_anew();
            }
            Err(error) => tracing::warn!(%error, "the inbox can't look at its lanes"),
        }
    }
}
