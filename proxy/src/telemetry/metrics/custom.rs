//! Metrics that plugins keep themselves (`gofe:plugin/metrics`).
//!
//! What a plugin names is untrusted: names and labels are checked, series are counted, and no plugin can take a
//! name that would make the text ambiguous.

mod families;
mod key;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::{Mutex, RwLock};
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use self::families::{Families, Kind};
use super::cells::{BOUNDS, BUCKETS, Count, Distribution};
use super::exposition::family;

/// The most series that one plugin may have.
const SERIES: usize = 1000;

/// Why a metric of a plugin's own was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CustomError {
    /// The name, a label or the value is not of the form that Prometheus has, or the name is in use with another
    /// kind or other labels.
    #[error("the name, a label or the value is not valid, or the name is in use with another kind or other labels")]
    Invalid,
    /// The plugin has 1,000 series already.
    #[error("the plugin has {SERIES} series already")]
    TooMany,
}

/// The metrics of one plugin's own, over all its versions. Workers share them: a call costs one look-up under a
/// read lock, and allocates only when it makes a new series.
#[derive(Debug)]
pub struct Custom {
    plugin: String,
    series: RwLock<HashMap<Vec<u8>, Arc<Series>>>,
    /// What this plugin has named: the kind and the label names, sorted.
    named: Mutex<HashMap<String, (Kind, Vec<String>)>>,
    families: Arc<Families>,
}

/// One metric with one set of labels.
#[derive(Debug)]
struct Series {
    name: String,
    labels: Vec<(String, String)>,
    value: Value,
}

#[derive(Debug)]
enum Value {
    Counter(Count),
    /// The bits of an `f64`.
    Gauge(AtomicU64),
    Histogram {
        counts: [Count; BUCKETS],
        /// The bits of an `f64`.
        sum: AtomicU64,
    },
}

impl Value {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter(Count::default()),
            Kind::Gauge => Self::Gauge(AtomicU64::default()),
            Kind::Histogram => Self::Histogram { counts: Default::default(), sum: AtomicU64::default() },
        }
    }
}

impl Custom {
    /// Adds to a counter, `gofe_plugin_<name>_total`.
    ///
    /// # Errors
    /// See [`CustomError`].
    pub fn add(&self, name: &str, labels: &[(&str, &str)], delta: u64) -> Result<(), CustomError> {
        self.with(Kind::Counter, name, labels, |value| {
            if let Value::Counter(count) = value {
                count.add(delta);
            }
        })
    }

    /// Sets a gauge, `gofe_plugin_<name>`.
    ///
    /// # Errors
    /// See [`CustomError`].
    pub fn set(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), CustomError> {
        self.with(Kind::Gauge, name, labels, |gauge| {
            if let Value::Gauge(bits) = gauge {
                bits.store(value.to_bits(), Relaxed);
            }
        })
    }

    /// Changes a gauge by so much.
    ///
    /// # Errors
    /// See [`CustomError`].
    pub fn shift(&self, name: &str, labels: &[(&str, &str)], delta: f64) -> Result<(), CustomError> {
        self.with(Kind::Gauge, name, labels, |gauge| {
            if let Value::Gauge(bits) = gauge {
                let add = |bits| Some((f64::from_bits(bits) + delta).to_bits());
                // The closure never declines, so that this does not fail.
                let _ = bits.fetch_update(Relaxed, Relaxed, add);
            }
        })
    }

    /// What a counter or a gauge says; nothing where it was never written, and of a histogram.
    pub fn read(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = key::Sorted::of(labels)?;
        labels.key(name, |key| match &self.series.read().get(key)?.value {
            Value::Counter(count) => Some(count.get() as f64),
            Value::Gauge(bits) => Some(f64::from_bits(bits.load(Relaxed))),
            Value::Histogram { .. } => None,
        })
    }

    /// Counts a value in a histogram, `gofe_plugin_<name>`, with the buckets of the proxy's own histograms.
    ///
    /// # Errors
    /// See [`CustomError`]; a value that is not a finite number is invalid, for it would spoil the sum for ever.
    pub fn observe(&self, name: &str, labels: &[(&str, &str)], value: f64) -> Result<(), CustomError> {
        if !value.is_finite() {
            return Err(CustomError::Invalid);
        }
        self.with(Kind::Histogram, name, labels, |histogram| {
            if let Value::Histogram { counts, sum } = histogram {
                counts[BOUNDS.partition_point(|bound| *bound < value)].add(1);
                let add = |bits| Some((f64::from_bits(bits) + value).to_bits());
                // The closure never declines, so that this does not fail.
                let _ = sum.fetch_update(Relaxed, Relaxed, add);
            }
        })
    }

    /// Records in the series of this name and these labels, which is made when there is none.
    fn with(
        &self,
        kind: Kind,
        name: &str,
        labels: &[(&str, &str)],
        record: impl FnOnce(&Value),
    ) -> Result<(), CustomError> {
        let labels = key::Sorted::of(labels).ok_or(CustomError::Invalid)?;
        labels.key(name, |key| {
            if let Some(series) = self.series.read().get(key) {
                return kind.check(&series.value).map(|()| record(&series.value));
            }
            self.create(kind, name, &labels, key).map(|series| record(&series.value))
        })
    }

    #[cold]
    fn create(&self, kind: Kind, name: &str, labels: &key::Sorted<'_>, key: &[u8]) -> Result<Arc<Series>, CustomError> {
        let mut all = self.series.write();
        if let Some(series) = all.get(key) {
            return kind.check(&series.value).map(|()| Arc::clone(series));
        }
        if !key::is_name(name) || !labels.is_valid() {
            return Err(CustomError::Invalid);
        }
        self.claim(kind, name, labels, all.len())?;
        let labels = labels.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let series = Arc::new(Series { name: name.to_owned(), labels, value: Value::new(kind) });
        all.insert(key.to_vec(), Arc::clone(&series));
        Ok(series)
    }

    /// Makes sure that the name has this kind and these label names, here and in every other plugin.
    fn claim(&self, kind: Kind, name: &str, labels: &key::Sorted<'_>, series: usize) -> Result<(), CustomError> {
        let mut named = self.named.lock();
        let known = named.get(name);
        if known.is_some_and(|(known, names)| *known != kind || !labels.iter().map(|(name, _)| name).eq(names)) {
            return Err(CustomError::Invalid);
        }
        if series >= SERIES {
            return Err(CustomError::TooMany);
        }
        if known.is_none() {
            self.families.claim(name, kind)?;
            named.insert(name.to_owned(), (kind, labels.iter().map(|(name, _)| name.to_owned()).collect()));
        }
        Ok(())
    }
}

impl Drop for Custom {
    fn drop(&mut self) {
        for name in self.named.get_mut().keys() {
            self.families.release(name);
        }
    }
}

impl Kind {
    fn check(self, value: &Value) -> Result<(), CustomError> {
        match (self, value) {
            (Self::Counter, Value::Counter(_))
            | (Self::Gauge, Value::Gauge(_))
            | (Self::Histogram, Value::Histogram { .. }) => Ok(()),
            _ => Err(CustomError::Invalid),
        }
    }

    fn metric_type(self) -> (MetricType, &'static str) {
        match self {
            Self::Counter => (MetricType::Counter, "A counter that plugins keep."),
            Self::Gauge => (MetricType::Gauge, "A gauge that plugins keep."),
            Self::Histogram => (MetricType::Histogram, "A histogram that plugins keep."),
        }
    }
}

/// The metrics of all plugins' own.
#[derive(Debug, Default)]
pub(super) struct Customs {
    plugins: Mutex<BTreeMap<String, Arc<Custom>>>,
    families: Arc<Families>,
}

/// What is written of one family: who has it, and which series.
type Rows = Vec<(String, Arc<Series>)>;

impl Customs {
    pub(super) fn of(&self, plugin: &str) -> Arc<Custom> {
        let mut plugins = self.plugins.lock();
        if let Some(custom) = plugins.get(plugin) {
            return Arc::clone(custom);
        }
        let custom = Arc::new(Custom {
            plugin: plugin.to_owned(),
            series: RwLock::default(),
            named: Mutex::default(),
            families: Arc::clone(&self.families),
        });
        plugins.insert(plugin.to_owned(), Arc::clone(&custom));
        custom
    }

    pub(super) fn sweep(&self) {
        self.plugins.lock().retain(|_, custom| Arc::strong_count(custom) > 1);
    }

    pub(super) fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        for (name, (kind, rows)) in self.gather() {
            let name = format!("gofe_plugin_{name}");
            let (metric_type, help) = kind.metric_type();
            let mut family = family(encoder, &name, metric_type, help)?;
            for (plugin, series) in rows {
                let mut labels = vec![("plugin", plugin.as_str())];
                labels.extend(series.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
                match &series.value {
                    Value::Counter(count) => family.counter(&labels, count.get())?,
                    Value::Gauge(bits) => family.float_gauge(&labels, f64::from_bits(bits.load(Relaxed)))?,
                    Value::Histogram { counts, sum } => {
                        let sum = f64::from_bits(sum.load(Relaxed));
                        let counts = std::array::from_fn(|i| counts[i].get());
                        family.histogram(&labels, &Distribution { sum, counts })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// All series by family, whichever plugin they are of: a family is written once.
    fn gather(&self) -> BTreeMap<String, (Kind, Rows)> {
        let plugins: Vec<_> = self.plugins.lock().values().cloned().collect();
        let mut families: BTreeMap<String, (Kind, Rows)> = BTreeMap::new();
        for custom in plugins {
            for series in custom.series.read().values() {
                let kind = match &series.value {
                    Value::Counter(_) => Kind::Counter,
                    Value::Gauge(_) => Kind::Gauge,
                    Value::Histogram { .. } => Kind::Histogram,
                };
                let (_, rows) = families.entry(series.name.clone()).or_insert_with(|| (kind, Vec::new()));
                rows.push((custom.plugin.clone(), Arc::clone(series)));
            }
        }
        for (_, rows) in families.values_mut() {
            rows.sort_by(|(a, x), (b, y)| (a, &x.labels).cmp(&(b, &y.labels)));
        }
        families
    }
}
