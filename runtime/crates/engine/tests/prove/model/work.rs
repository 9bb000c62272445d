//! What is being done about one step, forward or back.

use wasaga_domain::{clock::UnixMillis, outcome::WaitSource, payload::Payload};

/// What a guest is called for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Called {
    /// `execute` or `compensate`.
    Fresh,
    /// `resume` with a message.
    Message,
    /// `resume` with a signal.
    Signal,
    /// `resume` with a child's end.
    Child,
    /// `resume` because nothing came.
    TimedOut,
}

impl Called {
    pub const ALL: [Self; 5] =
        [Self::Fresh, Self::Message, Self::Signal, Self::Child, Self::TimedOut];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Message => "with a message",
            Self::Signal => "with a signal",
            Self::Child => "with a child's end",
            Self::TimedOut => "timed out",
        }
    }
}

#[derive(Clone, Debug)]
pub enum Doing {
    /// A guest is to be called, or is being called.
    Ready(Called),
    /// Between attempts.
    Rests(UnixMillis),
    /// Nobody could be called.
    PutOff(UnixMillis, Called),
    Waits {
        sources: Vec<WaitSource>,
        until: UnixMillis,
    },
    GaveUp,
}

#[derive(Clone, Debug)]
pub struct Work {
    /// When it began.
    pub began: u32,
    pub doing: Doing,
    /// Failures that the policy counts.
    pub failures: u32,
    /// An earlier attempt, or the wait whose time is over, may have had its effect.
    pub doubt: bool,
    /// This attempt sent or wrote something, or goes on after a wait.
    pub asked: bool,
    /// What its last wait left for `resume`.
    pub memo: Option<Payload>,
    /// What its last wait said that its undo would need.
    pub undo: Option<Payload>,
}

impl Work {
    pub fn begins(began: u32) -> Self {
        let doing = Doing::Ready(Called::Fresh);
        Self { began, doing, failures: 0, doubt: false, asked: false, memo: None, undo: None }
    }

    /// Whether an interruption now would leave open what happened.
    pub fn may_have_happened(&self) -> bool {
        let parked = match self.doing {
            Doing::Ready(called) | Doing::PutOff(_, called) => called != Called::Fresh,
            Doing::Waits { .. } => true,
            Doing::Rests(_) | Doing::GaveUp => false,
        };
        self.doubt || parked
    }

    pub fn waits_for(&self, source: &WaitSource) -> bool {
        matches!(&self.doing, Doing::Waits { sources, .. } if sources.contains(source))
    }

    /// When it goes on by itself.
    pub fn due(&self) -> Option<UnixMillis> {
        match self.doing {
            Doing::Rests(until) | Doing::PutOff(until, _) | Doing::Waits { until, .. } => {
                Some(until)
            }
            Doing::Ready(_) | Doing::GaveUp => None,
        }
    }

    /// Its time has come.
    pub fn wakes(&mut self) {
        match self.doing {
            Doing::Rests(_) => self.doing = Doing::Ready(Called::Fresh),
            Doing::PutOff(_, called) => self.doing = Doing::Ready(called),
            Doing::Waits { .. } => {
                // Whoever was asked may have done it.
                self.doubt |= self.asked;
                self.doing = Doing::Ready(Called::TimedOut);
            }
            Doing::Ready(_) | Doing::GaveUp => {}
        }
    }

    pub fn tries_anew(&mut self) {
        (self.doing, self.failures) = (Doing::Ready(Called::Fresh), 0);
    }
}
