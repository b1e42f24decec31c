//! Metric families, written one after another. Pure.
//!
//! Always: a family is written once and whole; its unit is the end of its name.

use crate::metrics::Buckets;
use prometheus_client::encoding::{DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt;

/// A label's name and value.
pub(super) type Label<'a> = (&'static str, &'a str);

/// Name, without prefix and without `_total`, and what it is.
pub(super) type Family = (&'static str, &'static str);

pub(super) struct Families<'a>(DescriptorEncoder<'a>);

impl<'a> Families<'a> {
    pub(super) fn new(encoder: DescriptorEncoder<'a>) -> Self {
        Self(encoder)
    }

    /// A family of one counter.
    pub(super) fn counter(&mut self, family: Family, value: u64) -> fmt::Result {
        self.counters(family, [([], value)])
    }

    /// A family of counters, by labels.
    pub(super) fn counters<'l, const N: usize, V: EncodeCounterValue>(
        &mut self,
        family: Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], V)>,
    ) -> fmt::Result {
        let write =
            |encoder: &mut MetricEncoder<'_>, value: V| encoder.encode_counter::<NoLabelSet, _, u64>(&value, None);
        self.family(family, MetricType::Counter, series, write)
    }

    /// A family of one gauge.
    pub(super) fn gauge<V: EncodeGaugeValue>(&mut self, family: Family, value: V) -> fmt::Result {
        self.gauges(family, [([], value)])
    }

    /// A family of gauges, by labels.
    pub(super) fn gauges<'l, const N: usize, V: EncodeGaugeValue>(
        &mut self,
        family: Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], V)>,
    ) -> fmt::Result {
        let write = |encoder: &mut MetricEncoder<'_>, value: V| encoder.encode_gauge(&value);
        self.family(family, MetricType::Gauge, series, write)
    }

    /// A family of histograms, by labels.
    pub(super) fn histograms<'l, const N: usize>(
        &mut self,
        family: Family,
        series: impl IntoIterator<Item = ([Label<'l>; N], Buckets)>,
    ) -> fmt::Result {
        let write = |encoder: &mut MetricEncoder<'_>, value: Buckets| {
            let counts: Vec<_> = value.counts().collect();
            encoder.encode_histogram::<NoLabelSet>(value.sum_s(), value.count(), &counts, None)
        };
        self.family(family, MetricType::Histogram, series, write)
    }

    fn family<'l, const N: usize, V>(
        &mut self,
        (name, help): Family,
        metric_type: MetricType,
        series: impl IntoIterator<Item = ([Label<'l>; N], V)>,
        write: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let (name, unit) = unit_of(name);
        let mut encoder = self.0.encode_descriptor(name, help, unit.as_ref(), metric_type)?;
        for (labels, value) in series {
            // The library would write empty braces.
            if labels.is_empty() {
                write(&mut encoder, value)?;
            } else {
                write(&mut encoder.encode_family(&labels)?, value)?;
            }
        }
        Ok(())
    }
}

/// The unit that a name ends with, which the library adds to it.
fn unit_of(name: &str) -> (&str, Option<Unit>) {
    for (end, unit) in [("_seconds", Unit::Seconds), ("_bytes", Unit::Bytes)] {
        if let Some(before) = name.strip_suffix(end) {
            return (before, Some(unit));
        }
    }
    (name, None)
}
