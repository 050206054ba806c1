//! CPU time and memory of a process and its descendants, from /proc.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel counts `utime` and `stime` in hundredths of a second on every architecture that Linux runs on.
const TICK: Duration = Duration::from_millis(10);

/// CPU time up to now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::bench) struct Time {
    /// Nanoseconds of each thread.
    threads: BTreeMap<u32, u64>,
    /// Ticks of all processes, also of threads that have ended.
    ticks: u64,
}

impl Time {
    /// The CPU time that a process and its descendants have used.
    pub(in crate::bench) fn of(pid: u32) -> Result<Self> {
        let mut time = Self { threads: BTreeMap::new(), ticks: 0 };
        for process in descendants(pid) {
            time.ticks += parse_stat(&read(&format!("/proc/{process}/stat"))?)?;
            for thread in threads(process) {
                // A thread may end while one looks.
                if let Ok(text) = read(&format!("/proc/{process}/task/{thread}/schedstat")) {
                    time.threads.insert(thread, parse_schedstat(&text)?);
                }
            }
        }
        Ok(time)
    }

    /// The time since an earlier look: the threads' nanoseconds, or ticks when a thread has ended since and took its
    /// count with it.
    pub(in crate::bench) fn since(&self, earlier: &Self) -> Duration {
        if earlier.threads.keys().all(|thread| self.threads.contains_key(thread)) {
            let before: u64 = earlier.threads.values().sum();
            return Duration::from_nanos(self.threads.values().sum::<u64>().saturating_sub(before));
        }
        let ticks = self.ticks.saturating_sub(earlier.ticks);
        TICK * u32::try_from(ticks).unwrap_or(u32::MAX)
    }
}

/// How long a processor has worked up to now, for whomever, or was taken away by the hypervisor.
pub(super) fn busy(cpu: &str) -> Result<Duration> {
    parse_busy(&read("/proc/stat")?, cpu).map(|ticks| TICK * u32::try_from(ticks).unwrap_or(u32::MAX))
}

/// Resident memory of a process and its descendants, in KiB.
pub(in crate::bench) fn resident_kib(pid: u32) -> Result<u64> {
    descendants(pid).into_iter().map(|pid| parse_resident(&read(&format!("/proc/{pid}/status"))?)).sum()
}

/// The process and all below it.
fn descendants(pid: u32) -> Vec<u32> {
    let mut found = vec![pid];
    let mut next = 0;
    while let Some(&process) = found.get(next) {
        for thread in threads(process) {
            let children = read(&format!("/proc/{process}/task/{thread}/children")).unwrap_or_default();
            found.extend(children.split_whitespace().filter_map(|child| child.parse::<u32>().ok()));
        }
        next += 1;
    }
    found
}

fn threads(pid: u32) -> Vec<u32> {
    let entries = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}

/// `utime` and `stime` of /proc/PID/stat together. The program's name before them may have blanks and parentheses.
fn parse_stat(text: &str) -> Result<u64> {
    let parse = || {
        let mut fields = text.rsplit_once(')')?.1.split_whitespace().skip(11);
        Some(fields.next()?.parse::<u64>().ok()? + fields.next()?.parse::<u64>().ok()?)
    };
    parse().with_context(|| format!("not what /proc/PID/stat has: {text}"))
}

/// All of a processor's line in /proc/stat but `idle`, `iowait`, and the guests' time, which is in the others.
fn parse_busy(text: &str, cpu: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu")?.strip_prefix(cpu)?.strip_prefix(' '));
    let line = line.with_context(|| format!("/proc/stat has no cpu{cpu}"))?;
    let ticks = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>()?;
    Ok(ticks.iter().enumerate().filter(|(index, _)| [0, 1, 2, 5, 6, 7].contains(index)).map(|(_, ticks)| ticks).sum())
}

/// The first number: nanoseconds on a processor.
fn parse_schedstat(text: &str) -> Result<u64> {
    let first = text.split_whitespace().next().and_then(|number| number.parse().ok());
    first.with_context(|| format!("not what /proc/PID/schedstat has: {text}"))
}

/// `VmRSS` of /proc/PID/status, in KiB.
fn parse_resident(text: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
    number.context("/proc/PID/status has no VmRSS")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "30827 (rustc (a b) c) S 25694 25694 30898 0 -1 4194304 427 0 0 0 11050 204 0 0 20 0 4 0 1208651 \
                    10514432 1679 18446744073709551615 94803011530752 94803012314225 140733476313136 0 0 0 0 1073745920";
        assert_eq!(parse_stat(stat).unwrap(), 11_254);
        assert!(parse_stat("30827 (rustc").is_err());
    }

    #[test]
    fn a_processor_is_busy_when_it_does_not_idle() {
        let stat = "cpu  9 9 9 9 9 9 9 9 9 9\ncpu0 685500 67198 121256 677368 1010 3 33634 829 11 0\n\
                    cpu10 1 2 3 4 5 6 7 8 9 10\nintr 1\n";
        assert_eq!(parse_busy(stat, "0").unwrap(), 685_500 + 67_198 + 121_256 + 3 + 33_634 + 829);
        assert_eq!(parse_busy(stat, "10").unwrap(), 27);
        assert!(parse_busy(stat, "1").is_err());
    }

    #[test]
    fn a_thread_that_ended_makes_the_ticks_count() {
        let time = |threads: &[(u32, u64)], ticks| Time { threads: threads.iter().copied().collect(), ticks };
        let before = time(&[(1, 1_000), (2, 5_000)], 10);
        assert_eq!(time(&[(1, 3_000), (2, 5_500), (3, 50)], 11).since(&before), Duration::from_nanos(2_550));
        assert_eq!(time(&[(1, 3_000)], 13).since(&before), Duration::from_millis(30));
    }

    #[test]
    fn this_process_has_threads_and_memory() {
        let pid = std::process::id();
        assert_eq!(parse_schedstat("3504459 3050663 3\n").unwrap(), 3_504_459);
        assert_eq!(parse_resident("Name:\tnginx\nVmRSS:\t    6780 kB\nRssAnon:\t 1 kB\n").unwrap(), 6780);
        assert!(resident_kib(pid).unwrap() > 0 && Time::of(pid).unwrap().threads.len() > 1);
    }
}
