//! Certificates from an authority, by ACME (RFC 8555). Orders run on a thread of their own.
//!
//! What a listener shows is in a [`Slot`], which outlives reloads: a connection reads it, an order fills it, and an order
//! that fails leaves what is in it.

mod answers;
mod order;
mod storage;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustls::sign::CertifiedKey;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tracing::{info, warn};

pub use self::answers::Answers;
use self::storage::Storage;
use crate::config::{self, Config};
use crate::telemetry::Metrics;

/// The first pause after an order that failed; each one after that is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(6 * 3600);
/// Certificates are looked at so often at least, as a clock may be set.
const LOOK: Duration = Duration::from_secs(12 * 3600);

/// All certificates that gofe gets by itself.
pub struct Acme {
    slots: Mutex<BTreeMap<config::Acme, Arc<Slot>>>,
    orders: Mutex<Orders>,
    answers: Arc<Answers>,
    metrics: Arc<Metrics>,
}

/// What is under way.
#[derive(Default)]
struct Orders {
    thread: Option<mpsc::UnboundedSender<Arc<Slot>>>,
    running: BTreeMap<config::Acme, Arc<Mutex<Option<AbortHandle>>>>,
}

/// One certificate.
pub struct Slot {
    config: config::Acme,
    storage: Storage,
    answers: Arc<Answers>,
    current: ArcSwapOption<Issued>,
    status: Mutex<Status>,
    task: Arc<Mutex<Option<AbortHandle>>>,
}

/// A certificate that was issued.
pub(crate) struct Issued {
    pub(crate) key: Arc<CertifiedKey>,
    not_before: SystemTime,
    not_after: SystemTime,
}

/// How a certificate is doing.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Until when the certificate holds that is shown; none while there is none.
    pub not_after: Option<SystemTime>,
    /// When the next order begins.
    pub next_order: Option<SystemTime>,
    /// Why the last order failed; none where it did not.
    pub error: Option<String>,
}

impl Acme {
    /// Nothing is asked for yet.
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        let (slots, orders, answers) = (Mutex::default(), Mutex::default(), Arc::default());
        Arc::new(Self { slots, orders, answers, metrics })
    }

    /// The certificate of a configuration: the one that there is, or what its folder holds of an earlier run.
    pub fn slot(&self, config: &config::Acme) -> Arc<Slot> {
        let mut slots = self.slots.lock();
        let make = || Arc::new(Slot::new(config.clone(), self.answers.clone()));
        slots.entry(config.clone()).or_insert_with(make).clone()
    }

    /// What is answered to authorities in cleartext.
    pub fn answers(&self) -> Arc<Answers> {
        self.answers.clone()
    }

    /// Gets and renews the certificates of a configuration that serves, and no others.
    pub fn follow(self: &Arc<Self>, config: &Config) {
        let wanted: BTreeMap<_, _> = wanted(config).map(|acme| (acme.clone(), self.slot(acme))).collect();
        let mut orders = self.orders.lock();
        orders.running.retain(|config, task| {
            let stays = wanted.contains_key(config);
            if let Some(task) = task.lock().take_if(|_| !stays) {
                task.abort();
            }
            stays
        });
        for (config, slot) in wanted {
            if orders.running.contains_key(&config) {
                continue;
            }
            orders.running.insert(config, slot.task.clone());
            if orders.thread.is_none() {
                orders.thread = self.thread();
            }
            if let Some(thread) = &orders.thread {
                // The thread lives as long as the process.
                let _ = thread.send(slot);
            }
        }
        let running = &orders.running;
        self.slots.lock().retain(|config, _| running.contains_key(config));
    }

    /// The certificates of the configuration that serves.
    pub fn statuses(&self) -> Vec<(config::Acme, Status)> {
        let slots = self.slots.lock();
        slots.values().map(|slot| (slot.config.clone(), slot.status.lock().clone())).collect()
    }

    fn thread(self: &Arc<Self>) -> Option<mpsc::UnboundedSender<Arc<Slot>>> {
        let (sender, mut slots) = mpsc::unbounded_channel::<Arc<Slot>>();
        let metrics = self.metrics.clone();
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = match runtime {
                Ok(runtime) => runtime,
                Err(error) => return warn!("no certificates are got by ACME: {error}"),
            };
            runtime.block_on(async {
                while let Some(slot) = slots.recv().await {
                    let (task, metrics) = (slot.task.clone(), metrics.clone());
                    let mut task = task.lock();
                    *task = Some(tokio::spawn(async move { slot.keep(&metrics).await }).abort_handle());
                }
            });
        };
        let spawned = std::thread::Builder::new().name("gofe-acme".to_owned()).spawn(run);
        spawned.inspect_err(|error| warn!("no certificates are got by ACME: {error}")).ok().map(|_| sender)
    }
}

/// The certificates that a configuration asks for.
fn wanted(config: &Config) -> impl Iterator<Item = &config::Acme> {
    config.listeners.iter().filter_map(|listener| listener.tls.as_ref()?.acme.as_ref())
}

impl Slot {
    fn new(config: config::Acme, answers: Arc<Answers>) -> Self {
        let storage = Storage::new(&config);
        let current = storage.load().unwrap_or_else(|error| {
            warn!(names = config.names.join(" "), "the certificate of an earlier run is not used: {error}");
            None
        });
        let status = Status { not_after: current.as_ref().map(|issued| issued.not_after), ..Status::default() };
        let current = ArcSwapOption::from_pointee(current);
        Self { config, storage, answers, current, status: Mutex::new(status), task: Arc::default() }
    }

    /// The certificate, where there is one.
    pub(crate) fn current(&self) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|issued| issued.key.clone())
    }

    /// The certificate by which a name proves that it leads here, while an authority asks (RFC 8737, section 3).
    pub(crate) fn proof(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.answers.certificate(name)
    }

    /// Whether the certificate is for a name.
    pub(crate) fn is_for(&self, name: &str) -> bool {
        self.config.names.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// Gets the certificate and renews it, for ever.
    async fn keep(&self, metrics: &Metrics) {
        let names = self.config.names.join(" ");
        let mut failures = 0;
        loop {
            let due = self.current.load().as_ref().map(|issued| issued.renewal());
            let left = due.and_then(|due| due.duration_since(SystemTime::now()).ok());
            if let Some(left) = left.filter(|left| !left.is_zero()) {
                self.status.lock().next_order = due;
                tokio::time::sleep(left.min(LOOK)).await;
                continue;
            }
            let ordered =
                tokio::time::timeout(self.config.timeout, order::issue(&self.config, &self.storage, &self.answers));
            let error = match ordered.await {
                Ok(Ok(issued)) => {
                    let until = issued.not_after;
                    *self.status.lock() = Status { not_after: Some(until), ..Status::default() };
                    self.current.store(Some(Arc::new(issued)));
                    failures = 0;
                    metrics.acme_order(true);
                    // The log comes last: who has read it finds in the admin API what it says.
                    info!(names, until = %date(until), "a certificate was issued");
                    continue;
                }
                Ok(Err(error)) => error,
                Err(_) => format!("the authority did not do its part within {:?}", self.config.timeout),
            };
            let pause = pause(failures);
            failures += 1;
            {
                let mut status = self.status.lock();
                status.error = Some(error.clone());
                status.next_order = Some(SystemTime::now() + pause);
            }
            metrics.acme_order(false);
            let shows = if self.current.load().is_some() { "the one there is serves on" } else { "there is none yet" };
            warn!(names, directory = self.config.directory, ?pause, "no certificate was issued, {shows}: {error}");
            tokio::time::sleep(pause).await;
        }
    }
}

impl Issued {
    /// When to ask for the next one: at two thirds of its life, and not when everybody else does.
    fn renewal(&self) -> SystemTime {
        let life = self.not_after.duration_since(self.not_before).unwrap_or_default();
        // Always the same for one certificate, so that looking again does not choose again.
        let seed = self.not_after.duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
        let seed = seed ^ u64::from(std::process::id());
        let spread = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        self.not_before + life * 2 / 3 - life / 20 * u32::try_from(spread % 1000).unwrap_or_default() / 1000
    }
}

/// How long to wait after so many failures before this one.
fn pause(failures: u32) -> Duration {
    let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
    let mut random = [0; 2];
    // Without random numbers everybody asks at the same time, which is no reason not to ask.
    let _ = getrandom::fill(&mut random);
    pause.mul_f64(0.75 + f64::from(u16::from_le_bytes(random)) / f64::from(u16::MAX) / 2.0)
}

fn date(time: SystemTime) -> impl std::fmt::Display {
    humantime::format_rfc3339_seconds(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_an_end() {
        for failures in 0..100 {
            let expected = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
            let pause = pause(failures);
            assert!(pause >= expected.mul_f64(0.74) && pause <= expected.mul_f64(1.26), "{failures}: {pause:?}");
        }
    }
}
