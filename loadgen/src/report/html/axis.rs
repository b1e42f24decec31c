//! Axes: where a value lies on a plot, and where its ticks are.
//!
//! Any thread; pure. Always: a range has a width, so that no place is infinite or no number; a value that has no place on an
//! axis (zero on a logarithmic one, what is not finite) is `None`.

use crate::report::units;

/// How values are spread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Evenly, from the least.
    Linear,
    /// Evenly, from zero.
    FromZero,
    /// Each factor of ten as wide.
    Log,
    /// Each further nine of a share as wide: 0, 0.9, 0.99.
    Nines,
}

/// What the numbers of an axis are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A latency, in microseconds.
    Micros,
    /// Seconds of a run.
    Seconds,
    /// A number a second.
    Rate,
    /// A share, shown as a percentile.
    Share,
    /// B over A.
    Ratio,
}

impl Unit {
    /// A value as text.
    #[must_use]
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Micros => units::time(value),
            Self::Seconds => format!("{} s", units::digits(value)),
            Self::Rate => format!("{}/s", units::rate(value)),
            // As many digits as tell it from 100 %.
            Self::Share => {
                let nines = (-(1.0 - value).max(1e-12).log10()).clamp(0.0, 12.0);
                let text = format!("{:.*}", ((nines - 1.0).ceil().max(0.0)) as usize, 100.0 * value);
                let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
                format!("{text} %")
            }
            Self::Ratio => format!("{value:.3}").trim_end_matches('0').trim_end_matches('.').to_string(),
        }
    }
}

/// An axis with its range, on pixels.
#[derive(Debug, Clone)]
pub struct Axis {
    kind: Kind,
    unit: Unit,
    /// The range, spread evenly.
    low: f64,
    high: f64,
    pixels: [f64; 2],
}

impl Axis {
    /// An axis that holds all of the values that have a place on it. Pixels are those of the least and the largest.
    #[must_use]
    pub fn of(kind: Kind, unit: Unit, values: impl Iterator<Item = f64>, pixels: [f64; 2]) -> Self {
        let places = values.filter_map(|value| place(kind, value));
        let (low, high) =
            places.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), place| (low.min(place), high.max(place)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let (low, high) = match kind {
            Kind::Linear => widened(low, high),
            Kind::FromZero => {
                let high = if high > 0.0 { high } else { 1.0 };
                let step = step(high) / 2.0;
                (low.min(0.0), (high / step).ceil() * step)
            }
            Kind::Log => {
                let (low, high) = (below(low), above(high));
                if high - low < 0.3 { (low - 0.5, high + 0.5) } else { (low, high) }
            }
            Kind::Nines => (0.0, if high > 0.0 { high } else { 1.0 }),
        };
        Self { kind, unit, low, high, pixels }
    }

    /// Where a value lies.
    #[must_use]
    pub fn pixel(&self, value: f64) -> Option<f64> {
        let share = (place(self.kind, value)? - self.low) / (self.high - self.low);
        let [from, to] = self.pixels;
        // Outside of the range is its edge: it is only asked for what was in it, or for marks.
        Some(from + share.clamp(0.0, 1.0) * (to - from))
    }

    /// Ticks: pixels and texts, from the least.
    #[must_use]
    pub fn ticks(&self) -> Vec<(f64, String)> {
        let values = match self.kind {
            Kind::Linear | Kind::FromZero => self.even(),
            Kind::Log => self.decades(),
            Kind::Nines => nines(self.high),
        };
        values.into_iter().filter_map(|value| Some((self.pixel(value)?, self.unit.text(value)))).collect()
    }

    fn even(&self) -> Vec<f64> {
        let step = step(self.high - self.low);
        let first = (self.low / step).ceil();
        (0..16u32)
            .map(|index| (first + f64::from(index)) * step)
            .take_while(|value| *value <= self.high + step * 1e-6)
            .collect()
    }

    fn decades(&self) -> Vec<f64> {
        let width = self.high - self.low;
        let factors: &[f64] = if width <= 2.2 { &[1.0, 2.0, 5.0] } else { &[1.0] };
        let every = (width / 7.0).ceil().max(1.0);
        let first = (self.low / every).floor() * every;
        let powers = (0..10u32).map(|index| first + every * f64::from(index));
        let values = powers.flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powf(power)));
        values.filter(|value| (self.low - 1e-6..=self.high + 1e-6).contains(&value.log10())).collect()
    }
}

/// A value on the even scale of its axis.
fn place(kind: Kind, value: f64) -> Option<f64> {
    let place = match kind {
        // What is so small is nothing here, and steps of it would be.
        Kind::Linear | Kind::FromZero => {
            if value.abs() < 1e-12 {
                0.0
            } else {
                value
            }
        }
        Kind::Log if value > 0.0 => value.log10(),
        Kind::Nines if (0.0..1.0).contains(&value) => -(1.0 - value).log10(),
        Kind::Log | Kind::Nines => return None,
    };
    // Beyond that, differences are no longer exact; nothing that is measured comes near.
    (place.is_finite() && place.abs() < 1e15).then_some(place)
}

/// A range with a width.
fn widened(low: f64, high: f64) -> (f64, f64) {
    let is_wide = high - low > high.abs().max(low.abs()) * 1e-9;
    if is_wide { (low, high) } else { (low - 0.5 - low.abs() * 1e-6, high + 0.5 + high.abs() * 1e-6) }
}

/// The step of about six ticks: 1, 2 or 5 times a power of ten.
fn step(width: f64) -> f64 {
    let rough = width / 8.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= rough * 0.999);
    factor.unwrap_or(10.0) * power
}

/// Logarithms of 1, 2, 5 and 10.
const STOPS: [f64; 4] = [0.0, std::f64::consts::LOG10_2, 1.0 - std::f64::consts::LOG10_2, 1.0];

/// The next logarithm of 1, 2 or 5 times a power of ten, down.
fn below(place: f64) -> f64 {
    let whole = (place + 1e-9).floor();
    let stops = STOPS.into_iter().rev().map(|stop| whole + stop);
    stops.into_iter().find(|stop| *stop <= place + 1e-9).unwrap_or(whole)
}

/// The same, up.
fn above(place: f64) -> f64 {
    let whole = (place + 1e-9).floor();
    STOPS.into_iter().map(|stop| whole + stop).find(|stop| *stop >= place - 1e-9).unwrap_or(whole + 1.0)
}

/// 0, one half, and each nine.
fn nines(high: f64) -> Vec<f64> {
    let mut values = vec![0.0, 0.5];
    let powers = (1..=12i32).take_while(|power| f64::from(*power) <= high + 1e-6);
    values.extend(powers.map(|power| 1.0 - 10f64.powi(-power)));
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(kind: Kind, unit: Unit, values: &[f64]) -> Vec<String> {
        let axis = Axis::of(kind, unit, values.iter().copied(), [0.0, 100.0]);
        let ticks = axis.ticks();
        assert!(ticks.iter().all(|(pixel, _)| (0.0..=100.0).contains(pixel)), "{ticks:?}");
        ticks.into_iter().map(|(_, text)| text).collect()
    }

    #[test]
    fn ticks_are_round_and_have_units() {
        assert_eq!(
            texts(Kind::FromZero, Unit::Rate, &[0.0, 41_300.0]),
            ["0/s", "10 k/s", "20 k/s", "30 k/s", "40 k/s"]
        );
        assert_eq!(texts(Kind::Linear, Unit::Seconds, &[1.0, 60.0]), ["10 s", "20 s", "30 s", "40 s", "50 s", "60 s"]);
        assert_eq!(texts(Kind::Log, Unit::Micros, &[60.0, 900.0]), ["50 us", "100 us", "200 us", "500 us", "1 ms"]);
        assert_eq!(texts(Kind::Log, Unit::Micros, &[70.0, 9e6]), ["100 us", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]);
        assert_eq!(
            texts(Kind::Nines, Unit::Share, &[0.0, 0.99995]),
            ["0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %"]
        );
    }

    #[test]
    fn every_range_has_a_width() {
        let odd =
            [0.0, -1.0, 5e-324, 1e-300, 1e300, f64::MAX, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 7.0, 1.0, 0.99];
        for kind in [Kind::Linear, Kind::FromZero, Kind::Log, Kind::Nines] {
            for first in odd {
                for second in odd {
                    let axis = Axis::of(kind, Unit::Micros, [first, second].into_iter(), [10.0, 90.0]);
                    let pixels = [first, second].map(|value| axis.pixel(value));
                    assert!(
                        pixels.into_iter().flatten().all(|pixel| (10.0..=90.0).contains(&pixel)),
                        "{kind:?} {first} {second}"
                    );
                    assert!(axis.ticks().len() < 40);
                }
            }
            let axis = Axis::of(kind, Unit::Ratio, std::iter::empty(), [10.0, 90.0]);
            assert!(axis.ticks().len() >= 2, "{kind:?} of nothing");
        }
    }
}
