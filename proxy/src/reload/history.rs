//! The configurations of the past.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Trigger;
use crate::source::Bundle;

/// How many are kept.
const LENGTH: usize = 20;

/// One configuration of the past, or the one that serves.
#[derive(Debug, Clone)]
pub struct Record {
    /// Its generation; absent where it was refused.
    pub generation: Option<u64>,
    /// Its digest; empty where it was refused.
    pub digest: String,
    /// When it was put into service or refused.
    pub at: SystemTime,
    /// What brought it.
    pub trigger: Trigger,
    /// How long it took.
    pub took: Duration,
    /// Whether it is the one that serves.
    pub serving: bool,
    /// The diagnostics, where it was refused.
    pub error: Option<String>,
}

/// The last configurations, the newest first.
#[derive(Default)]
pub(super) struct History {
    entries: VecDeque<(Record, Option<Arc<Bundle>>)>,
}

impl History {
    pub(super) fn served(&mut self, generation: u64, bundle: Arc<Bundle>, trigger: Trigger, took: Duration) {
        let digest = bundle.digest.clone();
        let at = SystemTime::now();
        let record = Record { generation: Some(generation), digest, at, trigger, took, serving: false, error: None };
        self.push(record, Some(bundle));
    }

    pub(super) fn refused(&mut self, trigger: Trigger, took: Duration, at: SystemTime, error: String) {
        let digest = String::new();
        let record = Record { generation: None, digest, at, trigger, took, serving: false, error: Some(error) };
        self.push(record, None);
    }

    fn push(&mut self, record: Record, bundle: Option<Arc<Bundle>>) {
        self.entries.push_front((record, bundle));
        if self.entries.len() > LENGTH {
            // Refused ones go first: an operator who tries thirty times must still find what served before.
            let refused = self.entries.iter().rposition(|(_, bundle)| bundle.is_none());
            // The newest stays in any case: it is what the operator looks for.
            self.entries.remove(refused.filter(|at| *at > 0).unwrap_or(LENGTH));
        }
    }

    pub(super) fn records(&self, serving: u64) -> Vec<Record> {
        let mark = |(record, _): &(Record, _)| Record { serving: record.generation == Some(serving), ..record.clone() };
        self.entries.iter().map(mark).collect()
    }

    pub(super) fn serving(&self, generation: u64) -> Option<&Arc<Bundle>> {
        self.entries.iter().find(|(record, _)| record.generation == Some(generation))?.1.as_ref()
    }

    /// The configuration of this generation, or the last one before `serving` that differs from it.
    pub(super) fn find(&self, generation: Option<u64>, serving: u64) -> Option<Arc<Bundle>> {
        match generation {
            Some(generation) => self.serving(generation).cloned(),
            None => {
                let digest = self.serving(serving).map(|bundle| bundle.digest.clone());
                let earlier = self.entries.iter().filter(|(record, _)| record.generation.is_some_and(|g| g < serving));
                earlier.filter_map(|(_, bundle)| bundle.clone()).find(|bundle| Some(&bundle.digest) != digest.as_ref())
            }
        }
    }
}
