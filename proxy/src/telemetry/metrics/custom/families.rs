//! Which names of metrics are taken, so that every name in the text means one thing.

use std::collections::{HashMap, HashSet};

use parking_lot::Mutex;

use super::CustomError;

/// The kinds of metric that a plugin may keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// The families of the proxy itself that begin with `gofe_plugin_`, without that.
pub(super) const OWN: [(&str, Kind); 5] = [
    ("calls", Kind::Counter),
    ("faults", Kind::Counter),
    ("seconds", Kind::Counter),
    ("instances", Kind::Gauge),
    ("memory_bytes", Kind::Gauge),
];

/// The names that plugins have taken.
#[derive(Debug)]
pub(super) struct Families(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// Families, with the number of plugins that have them.
    families: HashMap<String, (Kind, usize)>,
    /// Names of their samples.
    samples: HashSet<String>,
}

impl Default for Families {
    fn default() -> Self {
        let samples = OWN.into_iter().flat_map(|(name, kind)| samples(name, kind)).collect();
        Self(Mutex::new(Taken { families: HashMap::new(), samples }))
    }
}

impl Families {
    /// Takes a name for one plugin more.
    pub(super) fn claim(&self, name: &str, kind: Kind) -> Result<(), CustomError> {
        let mut taken = self.0.lock();
        if let Some((known, users)) = taken.families.get_mut(name) {
            *users += usize::from(*known == kind);
            return if *known == kind { Ok(()) } else { Err(CustomError::Invalid) };
        }
        if samples(name, kind).any(|sample| taken.samples.contains(&sample)) {
            return Err(CustomError::Invalid);
        }
        taken.samples.extend(samples(name, kind));
        taken.families.insert(name.to_owned(), (kind, 1));
        Ok(())
    }

    /// One plugin fewer has this name.
    pub(super) fn release(&self, name: &str) {
        let mut taken = self.0.lock();
        let Some((kind, users)) = taken.families.get_mut(name) else { return };
        *users -= 1;
        if *users == 0 {
            let kind = *kind;
            taken.families.remove(name);
            for sample in samples(name, kind) {
                taken.samples.remove(&sample);
            }
        }
    }
}

/// The names that a family's samples have, and its own.
fn samples(name: &str, kind: Kind) -> impl Iterator<Item = String> + use<'_> {
    let suffixes: &[&str] = match kind {
        Kind::Counter => &["", "_total", "_created"],
        Kind::Gauge => &[""],
        Kind::Histogram => &["", "_bucket", "_count", "_sum", "_created"],
    };
    suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
}
