//! The threads on which guests run synchronously: as many as the host has cores, and a queue before them.
//!
//! A call that runs long would keep others from running: after [`PATIENCE`] it gives its place up to a new thread and
//! goes on beside the pool, behind the others. Its own thread ends with it. So many may do so; when they are all long, calls
//! queue.

use std::{
    cell::Cell,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender, unbounded};

use crate::usage::{Behind, run_behind};

/// How long a call may hold a place.
pub(crate) const PATIENCE: Duration = Duration::from_millis(100);

/// What the pool runs.
pub(crate) trait Job: Send + 'static {
    /// Runs to its end.
    fn run(self, places: &Places);
}

/// The pool. Its threads end when it is dropped and the queue is empty.
pub(crate) struct Pool<J> {
    queue: Sender<J>,
}

/// The pool's places, as a call sees them.
#[derive(Clone)]
pub(crate) struct Places(Arc<Shared>);

struct Shared {
    /// Starts a thread that takes a place over.
    replace: Box<dyn Fn(Places) -> io::Result<()> + Send + Sync>,
    long: Arc<LongCalls>,
}

/// The calls that go on beside their pools.
pub(crate) struct LongCalls {
    under_way: AtomicUsize,
    limit: usize,
}

impl LongCalls {
    /// At most so many at once.
    pub(crate) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { under_way: AtomicUsize::new(0), limit })
    }
}

/// The threads of a pool.
#[derive(Clone, Copy)]
pub(crate) struct Threads {
    /// How many.
    pub count: usize,
    /// Bytes of each one's stack.
    pub stack: usize,
    /// Whether they run behind all others.
    pub behind: bool,
}

thread_local! {
    /// Whether this thread's call gave its place up.
    static BESIDE: Cell<bool> = const { Cell::new(false) };
}

impl<J: Job> Pool<J> {
    /// A pool of these threads, with room for long calls beside it.
    pub(crate) fn new(threads: Threads, long: Arc<LongCalls>) -> io::Result<Self> {
        let (queue, jobs) = unbounded::<J>();
        let replace = Box::new(move |places| spawn(jobs.clone(), places, threads));
        let places = Places(Arc::new(Shared { replace, long }));
        for _ in 0..threads.count.max(1) {
            (places.0.replace)(places.clone())?;
        }
        Ok(Self { queue })
    }

    /// Queues a job.
    pub(crate) fn run(&self, job: J) {
        self.queue.send(job).unwrap_or_else(|_| unreachable!("the pool's threads outlive it"));
    }
}

fn spawn<J: Job>(jobs: Receiver<J>, places: Places, threads: Threads) -> io::Result<()> {
    let Threads { stack, behind, .. } = threads;
    let name = if behind { "guest-behind" } else { "guest" };
    let work = move || {
        if behind {
            run_behind(Behind::Calls);
        }
        work(&jobs, &places);
    };
    thread::Builder::new().name(name.into()).stack_size(stack).spawn(work).map(drop)
}

fn work<J: Job>(jobs: &Receiver<J>, places: &Places) {
    for job in jobs {
        // A fault of the host's must not cost the pool a thread; the job's own guard reports it.
        if catch_unwind(AssertUnwindSafe(|| job.run(places))).is_err() {
            tracing::error!("the host panicked while it ran a guest");
        }
        if BESIDE.take() {
            places.0.long.under_way.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

impl Places {
    /// Gives the place of the calling thread up, where there is room beside the pool.
    pub(crate) fn give_up(&self) {
        let LongCalls { under_way, limit } = self.0.long.as_ref();
        let more = |long| (long < *limit).then_some(long + 1);
        let room = || under_way.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !BESIDE.get() && room() {
            match (self.0.replace)(self.clone()) {
                Ok(()) => {
                    BESIDE.set(true);
                    run_behind(Behind::Calls);
                }
                Err(_) => drop(under_way.fetch_sub(1, Ordering::Relaxed)),
            }
        }
    }
}
