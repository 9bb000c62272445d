//! The threads on which guests run synchronously: as many as the host has cores, and a queue before them.
//!
//! A call that runs long would keep others from running: after [`PATIENCE`] it gives its place up to a new thread and
//! goes on beside the pool, at a lower priority, where the operating system shares the cores out. Its own thread ends with it. So many may
//! do so; when they are all long, calls queue.

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
    long: AtomicUsize,
    long_limit: usize,
}

thread_local! {
    /// Whether this thread's call gave its place up.
    static BESIDE: Cell<bool> = const { Cell::new(false) };
}

impl<J: Job> Pool<J> {
    /// A pool of `threads`, with room for `long_limit` long calls beside it; each thread has a stack of `stack` bytes.
    pub(crate) fn new(threads: usize, long_limit: usize, stack: usize) -> io::Result<Self> {
        let (queue, jobs) = unbounded::<J>();
        let replace = Box::new(move |places| spawn(jobs.clone(), places, stack));
        let places = Places(Arc::new(Shared { replace, long: AtomicUsize::new(0), long_limit }));
        for _ in 0..threads.max(1) {
            (places.0.replace)(places.clone())?;
        }
        Ok(Self { queue })
    }

    /// Queues a job.
    pub(crate) fn run(&self, job: J) {
        self.queue.send(job).unwrap_or_else(|_| unreachable!("the pool's threads outlive it"));
    }
}

fn spawn<J: Job>(jobs: Receiver<J>, places: Places, stack: usize) -> io::Result<()> {
    let thread = thread::Builder::new().name("guest".into()).stack_size(stack);
    thread.spawn(move || work(&jobs, &places)).map(drop)
}

fn work<J: Job>(jobs: &Receiver<J>, places: &Places) {
    for job in jobs {
        // A fault of the host's must not cost the pool a thread; the job's own guard reports it.
        if catch_unwind(AssertUnwindSafe(|| job.run(places))).is_err() {
            tracing::error!("the host panicked while it ran a guest");
        }
        if BESIDE.take() {
            places.0.long.fetch_sub(1, Ordering::Relaxed);
            return;
        }
    }
}

/// How much less of a core a long call gets than what comes after it (nice's scale, to 19).
#[cfg(target_os = "linux")]
const LONG_NICE: i32 = 10;

/// Lowers the priority of this thread, which ends with its call. Elsewhere that is the whole process's.
fn yield_to_others() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, LONG_NICE) {
        tracing::debug!(%error, "a long call keeps its priority");
    }
}

impl Places {
    /// Gives the place of the calling thread up, where there is room beside the pool.
    pub(crate) fn give_up(&self) {
        let more = |long| (long < self.0.long_limit).then_some(long + 1);
        let room = || self.0.long.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if !BESIDE.get() && room() {
            match (self.0.replace)(self.clone()) {
                Ok(()) => {
                    BESIDE.set(true);
                    yield_to_others();
                }
                Err(_) => drop(self.0.long.fetch_sub(1, Ordering::Relaxed)),
            }
        }
    }
}
