//! How the process ends.

/// What the exit code says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All was done.
    Done,
    /// Something failed or was lost.
    Failed,
    /// The arguments are wrong.
    Usage,
    /// Content was not what was stored, or was missing.
    Wrong,
    /// The generator was the bottleneck.
    Invalid,
    /// As a comparison came out; it has codes of its own.
    Compared(u8),
}

impl Exit {
    /// The code.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Wrong => 3,
            Self::Invalid => 4,
            Self::Compared(code) => code,
        }
    }
}
