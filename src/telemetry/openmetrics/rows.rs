//! One method for each kind of metric: a family with its samples.

use std::fmt;

use prometheus_client::{
    encoding::{
        DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, MetricEncoder,
        NoLabelSet,
    },
    metrics::MetricType,
    registry::Unit,
};

use crate::telemetry::{Counter, Histogram, PACKET_TYPES};

/// Writes families one after the other.
pub(super) struct Rows<'a>(pub(super) DescriptorEncoder<'a>);

impl Rows<'_> {
    pub(super) fn counter(&mut self, name: &str, help: &str, value: &Counter) -> fmt::Result {
        self.family(name, None, help, MetricType::Counter, |mut row| {
            counter(&mut row, &value.get())
        })
    }

    pub(super) fn counter_in(
        &mut self,
        unit: &Unit,
        name: &str,
        help: &str,
        value: f64,
    ) -> fmt::Result {
        self.family(name, Some(unit), help, MetricType::Counter, |mut row| {
            counter(&mut row, &value)
        })
    }

    pub(super) fn counters<Labels: EncodeLabelSet, Value: TryInto<u64>>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl Iterator<Item = (Labels, Value)>,
    ) -> fmt::Result {
        self.family(name, None, help, MetricType::Counter, |mut row| {
            for (labels, value) in samples {
                let value: u64 = value.try_into().unwrap_or_default();
                counter(&mut row.encode_family(&labels)?, &value)?;
            }
            Ok(())
        })
    }

    pub(super) fn by_packet_type(
        &mut self,
        name: &str,
        help: &str,
        numbers: &[Counter; 16],
    ) -> fmt::Result {
        let samples = PACKET_TYPES.iter().zip(numbers).skip(1);
        self.counters(
            name,
            help,
            samples.map(|(kind, number)| ([("type", *kind)], number.get())),
        )
    }

    pub(super) fn by_qos(&mut self, name: &str, help: &str, numbers: &[Counter; 3]) -> fmt::Result {
        let samples = ["0", "1", "2"].into_iter().zip(numbers);
        self.counters(
            name,
            help,
            samples.map(|(qos, number)| ([("qos", qos)], number.get())),
        )
    }

    pub(super) fn gauge(
        &mut self,
        name: &str,
        help: &str,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.family(name, None, help, MetricType::Gauge, |mut row| {
            row.encode_gauge(value)
        })
    }

    pub(super) fn gauge_in(
        &mut self,
        unit: &Unit,
        name: &str,
        help: &str,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.family(name, Some(unit), help, MetricType::Gauge, |mut row| {
            row.encode_gauge(value)
        })
    }

    pub(super) fn gauges<Labels: EncodeLabelSet>(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        samples: impl Iterator<Item = (Labels, i64)>,
    ) -> fmt::Result {
        self.family(name, unit, help, MetricType::Gauge, |mut row| {
            for (labels, value) in samples {
                row.encode_family(&labels)?.encode_gauge(&value)?;
            }
            Ok(())
        })
    }

    pub(super) fn unknown(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.family(name, None, help, MetricType::Unknown, |mut row| {
            row.encode_gauge(&value)
        })
    }

    pub(super) fn info(
        &mut self,
        name: &str,
        help: &str,
        labels: &impl EncodeLabelSet,
    ) -> fmt::Result {
        self.family(name, None, help, MetricType::Info, |mut row| {
            row.encode_info(labels)
        })
    }

    pub(super) fn histogram(&mut self, name: &str, help: &str, value: &Histogram) -> fmt::Result {
        let mut buckets: Vec<(f64, u64)> =
            Histogram::BOUNDS.into_iter().zip(value.buckets()).collect();
        let within: u64 = buckets.iter().map(|(_, number)| number).sum();
        // Counting goes on between the two readings; the last bucket must still equal the count.
        let count = value.count().max(within);
        buckets.push((f64::INFINITY, count - within));
        let unit = Some(&Unit::Seconds);
        self.family(name, unit, help, MetricType::Histogram, |mut row| {
            row.encode_histogram::<NoLabelSet>(value.sum(), count, &buckets, None)
        })
    }

    fn family(
        &mut self,
        name: &str,
        unit: Option<&Unit>,
        help: &str,
        kind: MetricType,
        samples: impl FnOnce(MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        samples(self.0.encode_descriptor(name, help, unit, kind)?)
    }
}

fn counter<Value: EncodeCounterValue>(row: &mut MetricEncoder<'_>, value: &Value) -> fmt::Result {
    row.encode_counter::<NoLabelSet, Value, u64>(value, None)
}
