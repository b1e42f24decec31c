//! Numbers that follow from a seed, so that a crash can be had again.
//!
//! SplitMix64 (Steele, Lea and Flood, 2014). Not for secrets.

#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is not zero.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.number() % bound
    }

    /// How many of eight survive: nothing, all, and in between, each likely enough to be seen in a few runs.
    pub fn odds(&mut self) -> Odds {
        let kept_of_eight = [0, 1, 4, 7, 8];
        let chosen = usize::try_from(self.below(5)).expect("below 5");
        Odds(kept_of_eight[chosen])
    }

    /// Whether one thing survives.
    pub fn keeps(&mut self, odds: Odds) -> bool {
        self.below(8) < odds.0
    }
}

#[derive(Debug, Clone, Copy)]
pub struct Odds(u64);
