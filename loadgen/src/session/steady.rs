//! When a warm-up has become steady.
//!
//! Pure. Cost a request, or the rate where the cost is unknown, of two windows of two seconds after each other differs by
//! less than 2 % (the idea of fio's steady state).

use std::time::Duration;

const WINDOW: usize = 2;
const ALIKE: f64 = 0.02;

/// How long to warm up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WarmUp {
    /// Until steady, at most so long.
    Steady(Duration),
    /// So long.
    For(Duration),
}

/// Seconds of a warm-up.
#[derive(Debug)]
pub struct Warming {
    warm_up: WarmUp,
    figures: Vec<f64>,
    /// Whether it became steady; otherwise it only took its time.
    pub is_steady: bool,
}

impl Warming {
    /// Nothing seen yet.
    #[must_use]
    pub fn new(warm_up: WarmUp) -> Self {
        Self { warm_up, figures: Vec::new(), is_steady: false }
    }

    /// Takes the figure of another second (`None`: nothing was answered), `at` after the start. Whether it is over.
    pub fn second(&mut self, at: Duration, figure: Option<f64>) -> bool {
        match self.warm_up {
            WarmUp::For(time) => {
                self.is_steady = at >= time;
                self.is_steady
            }
            WarmUp::Steady(most) => {
                match figure {
                    Some(figure) => self.figures.push(figure),
                    None => self.figures.clear(),
                }
                self.is_steady = self.are_alike();
                self.is_steady || at >= most
            }
        }
    }

    fn are_alike(&self) -> bool {
        let mean = |window: &[f64]| window.iter().sum::<f64>() / WINDOW as f64;
        let mut windows = self.figures.rchunks_exact(WINDOW);
        match (windows.next(), windows.next()) {
            (Some(late), Some(early)) => {
                let (late, early) = (mean(late), mean(early));
                late > 0.0 && (late - early).abs() < ALIKE * late
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(warm_up: WarmUp, figures: &[Option<f64>]) -> (usize, bool) {
        let mut warming = Warming::new(warm_up);
        for (second, figure) in (1..).zip(figures) {
            if warming.second(Duration::from_secs(second), *figure) {
                return (usize::try_from(second).unwrap(), warming.is_steady);
            }
        }
        (0, false)
    }

    #[test]
    fn steady_is_two_windows_alike() {
        let most = WarmUp::Steady(Duration::from_secs(6));
        let all = |figures: &[f64]| figures.iter().map(|figure| Some(*figure)).collect::<Vec<_>>();
        assert_eq!(seconds(most, &all(&[10.0, 10.0, 10.0, 10.1, 10.0])), (4, true));
        assert_eq!(seconds(most, &all(&[30.0, 20.0, 10.0, 10.0, 10.0, 10.0])), (6, true));
        assert_eq!(seconds(most, &all(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0])), (6, false));
        assert_eq!(seconds(most, &[Some(1.0), Some(1.0), None, Some(1.0), Some(1.0), Some(1.0)]), (6, false));
        assert_eq!(seconds(most, &all(&[0.0, 0.0, 0.0, 0.0])), (0, false));
        assert_eq!(seconds(WarmUp::For(Duration::from_secs(2)), &all(&[1.0, 5.0, 9.0])), (2, true));
    }
}
