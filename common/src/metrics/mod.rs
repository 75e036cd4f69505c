//! What both binaries tell Prometheus: how to say it, and what holds for any process.
//! <https://prometheus.io/docs/practices/naming/>

mod exposition;

use std::{fmt, fs};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric},
    metrics::{
        MetricType,
        counter::ConstCounter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
        info::Info,
    },
    registry::{Registry, Unit},
};

pub use exposition::{Exposition, exposition};

use crate::{clock::Clock, db::Db};

/// A family of histograms with buckets of our own.
pub type Histograms<Labels> = Family<Labels, Histogram, fn() -> Histogram>;

/// A registry that already knows what holds for any process that uses this database.
pub fn registry(db: &Db, clock: &Clock) -> Registry {
    let mut registry = Registry::with_prefix("norvalt");
    registry.register("build", "What runs", Info::new([("version", crate::VERSION)]));
    let start = Gauge::<i64>::default();
    start.set(clock.now().timestamp());
    registry.register_with_unit("process_start_time", "When the process began, since 1970", Unit::Seconds, start);
    registry.register_collector(Box::new(Process { db: db.clone() }));
    registry
}

/// Writes a metric without labels, for a [`Collector`].
pub fn single(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    metric: &impl EncodeMetric,
) -> fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, unit, metric.metric_type())?)
}

/// Writes a gauge with any number of label sets, for a [`Collector`].
pub fn gauges<Labels: EncodeLabelSet>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, unit): (&str, &str, Option<&Unit>),
    values: impl IntoIterator<Item = (Labels, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
    for (labels, value) in values {
        ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

/// What is only looked at when somebody asks.
#[derive(Debug)]
struct Process {
    db: Db,
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let pool = self.db.pool_use();
        let states = [("in_use", pool.in_use), ("idle", pool.idle)];
        gauges(
            &mut encoder,
            ("database_connections", "Connections of the pool that are open", None),
            states.map(|(state, count)| ([("state", state)], f64::from(count))),
        )?;
        let limit = ("database_connections_limit", "Connections that the pool may open", None);
        single(&mut encoder, limit, &ConstGauge::new(pool.limit))?;
        let timeouts = ("database_timeouts", "How often no connection could be had in time", None);
        single(&mut encoder, timeouts, &ConstCounter::new(pool.timeouts))?;
        let memory = ("process_resident_memory", "Memory of the process that is in RAM", Some(&Unit::Bytes));
        resident_memory().map_or(Ok(()), |bytes| single(&mut encoder, memory, &ConstGauge::new(bytes)))
    }
}

/// In bytes, where the system tells: on Linux. <https://man7.org/linux/man-pages/man5/proc_pid_status.5.html>
fn resident_memory() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}
