//! Chance.

/// What chance decides, in turn; 0, the harmless choice, when it has run out.
pub struct Choices {
    bytes: std::vec::IntoIter<u8>,
}

impl Choices {
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { bytes: bytes.into_iter() }
    }

    /// One of `0..n`.
    pub fn of(&mut self, n: usize) -> usize {
        usize::from(self.bytes.next().unwrap_or(0)) % n
    }

    /// One time in `n`, and never when chance has run out.
    pub fn rarely(&mut self, n: usize) -> bool {
        self.of(n) == n - 1
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.of(of.len())]
    }
}
