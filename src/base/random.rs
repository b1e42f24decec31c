//! Unguessable numbers from the kernel, a page at a time.
//!
//! Owned by one thread each. `getrandom` never waits once the machine has booted.

/// Hands out random numbers, asking the kernel once for 512 of them.
#[derive(Debug)]
pub struct Random {
    page: Box<[u8; 4096]>,
    used: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { page: Box::new([0; 4096]), used: 4096 }
    }
}

impl Random {
    /// Eight random bytes as a number.
    ///
    /// # Errors
    /// Those of `getrandom(2)`; none is known on a booted machine.
    pub fn number(&mut self) -> std::io::Result<u64> {
        if self.used == self.page.len() {
            let mut filled = 0;
            while filled < self.page.len() {
                let flags = rustix::rand::GetRandomFlags::empty();
                filled += rustix::rand::getrandom(&mut self.page[filled..], flags)?;
            }
            self.used = 0;
        }
        let (number, _) = self.page[self.used..].split_first_chunk::<8>().expect("the page is a multiple of 8");
        self.used += 8;
        Ok(u64::from_le_bytes(*number))
    }

    /// Sixteen random bytes as a number.
    ///
    /// # Errors
    /// As [`number`](Self::number).
    pub fn wide(&mut self) -> std::io::Result<u128> {
        Ok(u128::from(self.number()?) << 64 | u128::from(self.number()?))
    }
}
