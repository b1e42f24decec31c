//! Whether a connection is read from.
//!
//! Processor thread. A connection is open, or muted for one or more reasons; it stays registered either way, because
//! events are edge-triggered and an empty interest cannot be registered: that it was readable is remembered instead.
//!
//! ```text
//! reason     muted when                                    unmuted when
//! IN_FLIGHT  it has as many unanswered requests as allowed one of them is answered
//! ROOM_IN    a body found no room                          the budget grants it
//! ROOM_OUT   a request's reply found no room               the budget grants it, or the request times out
//! OUTPUT     more waits to be sent than allowed            less than half of that waits
//! ENDING     its last words are queued                     never
//! ```
//!
//! Always: it is read from exactly when no reason holds.

/// A reason to leave a connection unread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Reason {
    InFlight = 1,
    RoomIn = 2,
    RoomOut = 4,
    Output = 8,
    Ending = 16,
}

/// The reasons that hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mute(u8);

/// What a change did to reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It is read from as before, or not as before.
    None,
    /// It was open and is muted.
    Muted,
    /// It was muted and is open: what it remembered is taken up.
    Opened,
}

impl Mute {
    pub(super) fn is_muted(self) -> bool {
        self.0 != 0
    }

    pub(super) fn has(self, reason: Reason) -> bool {
        self.0 & reason as u8 != 0
    }

    pub(super) fn mute(&mut self, reason: Reason) -> Change {
        let was = self.is_muted();
        self.0 |= reason as u8;
        if was { Change::None } else { Change::Muted }
    }

    pub(super) fn unmute(&mut self, reason: Reason) -> Change {
        debug_assert!(reason != Reason::Ending, "an ending connection never opens again");
        let was = self.is_muted();
        self.0 &= !(reason as u8);
        if was && !self.is_muted() { Change::Opened } else { Change::None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_table() {
        use Change::{Muted, None, Opened};
        use Reason::{InFlight, Output, RoomIn, RoomOut};
        let mut mute = Mute::default();
        let table: &[(bool, Reason, Change, bool)] = &[
            (true, InFlight, Muted, true),
            (true, InFlight, None, true),
            (true, RoomIn, None, true),
            (false, InFlight, None, true),
            (false, Output, None, true),
            (false, RoomIn, Opened, false),
            (false, RoomIn, None, false),
            (true, RoomOut, Muted, true),
            (false, RoomOut, Opened, false),
        ];
        for (step, (set, reason, change, muted)) in table.iter().enumerate() {
            let got = if *set { mute.mute(*reason) } else { mute.unmute(*reason) };
            assert_eq!((got, mute.is_muted()), (*change, *muted), "step {step}");
        }
        mute.mute(Reason::Ending);
        assert_eq!((mute.unmute(InFlight), mute.is_muted()), (None, true), "ENDING stays");
    }
}
