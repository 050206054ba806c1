//! What the system says about this process. Linux tells it in `/proc`; elsewhere these metrics are absent.

use std::fs;
use std::time::Duration;

/// The process and what does not change about it.
#[derive(Debug)]
pub(super) struct Process {
    /// Ticks of the clock that `/proc/self/stat` counts in, a second.
    ticks_per_second: u64,
}

impl Process {
    pub(super) fn new() -> Self {
        Self { ticks_per_second: fs::read("/proc/self/auxv").ok().and_then(|auxv| clock_ticks(&auxv)).unwrap_or(100) }
    }

    /// Resident memory in bytes.
    pub(super) fn resident(&self) -> Option<u64> {
        resident(&fs::read_to_string("/proc/self/status").ok()?)
    }

    /// Processor time of all threads, in user and kernel mode.
    pub(super) fn cpu(&self) -> Option<Duration> {
        let ticks = cpu_ticks(&fs::read_to_string("/proc/self/stat").ok()?)?;
        Some(Duration::from_secs_f64(ticks as f64 / self.ticks_per_second as f64))
    }
}

/// The entry `AT_CLKTCK` of the auxiliary vector: pairs of machine words.
fn clock_ticks(auxv: &[u8]) -> Option<u64> {
    const AT_CLKTCK: usize = 17;
    const WORD: usize = size_of::<usize>();
    let word = |bytes: &[u8]| bytes.try_into().ok().map(usize::from_ne_bytes);
    let pair = auxv.chunks_exact(2 * WORD).find(|pair| word(&pair[..WORD]) == Some(AT_CLKTCK))?;
    word(&pair[WORD..]).filter(|ticks| *ticks > 0).and_then(|ticks| u64::try_from(ticks).ok())
}

/// `VmRSS` of `/proc/self/status`, which is in KiB.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

/// `utime` and `stime` of `/proc/self/stat`: fields 14 and 15. Field 2 is the program's name in parentheses and may
/// hold anything, so that the count begins behind the last parenthesis.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_spaces_and_parentheses_is_stepped_over() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194304 1500 0 3 0 250 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(cpu_ticks(stat), Some(300));
    }

    #[test]
    fn resident_memory_is_in_bytes() {
        assert_eq!(resident("Name:\tgofe\nVmRSS:\t    2048 kB\nThreads:\t3\n"), Some(2 * 1024 * 1024));
    }

    #[test]
    fn text_of_another_form_gives_nothing() {
        assert_eq!(cpu_ticks("42 (gofe"), None);
        assert_eq!(resident("VmRSS:\tmuch\n"), None);
        assert_eq!(clock_ticks(&[1, 2, 3]), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_uses_memory() {
        assert!(Process::new().resident().is_some_and(|bytes| bytes > 100_000));
        assert!(Process::new().cpu().is_some());
    }
}
