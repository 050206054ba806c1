use std::env;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::AtomicU32;
use std::sync::mpsc::{Receiver, Sender, channel};

use super::*;
use crate::telemetry::Exposition;

/// Long enough for any machine; nothing waits so long when it works.
const LONG: Duration = Duration::from_secs(60);

/// A folder of the test's own.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("gofe-output-{}-{}", process::id(), NEXT.fetch_add(1, SeqCst));
        let folder = env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        Self(folder)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

fn dropped(metrics: &Metrics) -> u64 {
    let text = metrics.encode(Exposition::Prometheus);
    let line = text.lines().find_map(|line| line.strip_prefix("gofe_output_dropped_total ")).unwrap();
    line.parse().unwrap()
}

/// A destination that the test controls: each write asks for the next answer, and hands over what it took.
struct Gate {
    answers: Receiver<io::Result<usize>>,
    written: Sender<Vec<u8>>,
}

impl Write for Gate {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A test that is over lets everything through.
        let n = self.answers.recv().unwrap_or(Ok(usize::MAX))?.min(bytes.len());
        let _ = self.written.send(bytes[..n].to_vec());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Gated {
    output: Output,
    metrics: Arc<Metrics>,
    answer: Sender<io::Result<usize>>,
    written: Receiver<Vec<u8>>,
}

fn gated() -> Gated {
    let ((answer, answers), (tell, written)) = (channel(), channel());
    let metrics = Metrics::new(1);
    let output = Output::start(Sink::to(Gate { answers, written: tell }), 1, &metrics).unwrap();
    Gated { output, metrics, answer, written }
}

#[test]
fn lines_reach_the_file_without_being_asked_for() {
    let gated = gated();
    assert!(gated.output.write_line(0, b"one"));
    gated.answer.send(Ok(usize::MAX)).unwrap();
    assert_eq!(gated.written.recv().unwrap(), b"one\n");
    assert!(gated.output.write_line(0, b"two"));
    gated.answer.send(Ok(usize::MAX)).unwrap();
    assert_eq!(gated.written.recv().unwrap(), b"two\n");
}

#[test]
fn each_workers_lines_are_whole_and_in_order() {
    let folder = Folder::new();
    let path = folder.file("access.log");
    let outputs = Outputs::new(4, Metrics::new(4));
    let output = outputs.open(&config::Output::File(path.clone())).unwrap();
    thread::scope(|scope| {
        for worker in 0..4 {
            let output = &output;
            scope.spawn(move || {
                for i in 0..2_000 {
                    assert!(output.write_line(worker, format!("{worker} {i} a line of some length").as_bytes()));
                }
            });
        }
    });
    assert!(outputs.flush(LONG));
    let mut next = [0; 4];
    for line in read(&path).lines() {
        let mut words = line.splitn(3, ' ');
        let worker: usize = words.next().unwrap().parse().unwrap();
        let i: usize = words.next().unwrap().parse().unwrap();
        assert_eq!((i, words.next()), (next[worker], Some("a line of some length")));
        next[worker] += 1;
    }
    assert_eq!(next, [2_000; 4]);
}

#[test]
fn a_destination_that_does_not_keep_up_costs_lines_and_not_memory() {
    let gated = gated();
    let line = vec![b'x'; 1023];
    assert!(gated.output.write_line(0, b"first"));
    // One answer, taken when the thread has what it writes in hand: from then on the buffer fills.
    gated.answer.send(Ok(usize::MAX)).unwrap();
    assert_eq!(gated.written.recv().unwrap(), b"first\n");
    let mut taken = 0;
    while gated.output.write_line(0, &line) {
        taken += 1;
    }
    // The buffer, and a second one when the thread had taken the first.
    assert!((1_024..=2_048).contains(&taken), "{taken}");
    assert_eq!(dropped(&gated.metrics), 1);
    assert!(!gated.output.flush(Duration::ZERO));
    drop(gated.answer);
    assert!(gated.output.flush(LONG));
    assert_eq!(gated.written.try_iter().map(|bytes| bytes.len()).sum::<usize>(), taken * 1_024);
    assert!(gated.output.write_line(0, b"again"));
}

#[test]
fn a_line_that_can_never_fit_is_refused() {
    let gated = gated();
    assert!(!gated.output.write_line(0, &vec![b'x'; 2 << 20]));
    assert_eq!(dropped(&gated.metrics), 1);
}

#[test]
fn a_disk_that_is_full_loses_lines_and_does_not_join_two() {
    let gated = gated();
    gated.output.write_line(0, b"zero");
    gated.answer.send(Ok(1)).unwrap();
    assert_eq!(gated.written.recv().unwrap(), b"z");
    // The thread waits in the middle of a write, so that these go together in the next one.
    for line in [&b"one"[..], b"two", b"three"] {
        gated.output.write_line(0, line);
    }
    gated.answer.send(Ok(4)).unwrap();
    assert_eq!(gated.written.recv().unwrap(), b"ero\n");
    // The disk takes the first line and half of the second.
    gated.answer.send(Ok(6)).unwrap();
    gated.answer.send(Err(ErrorKind::StorageFull.into())).unwrap();
    assert!(gated.output.flush(LONG));
    assert_eq!(gated.written.recv().unwrap(), b"one\ntw");
    assert_eq!(dropped(&gated.metrics), 2);
    drop(gated.answer);
    gated.output.write_line(0, b"four");
    assert!(gated.output.flush(LONG));
    assert_eq!(gated.written.try_iter().flatten().collect::<Vec<_>>(), b"\nfour\n");
}

#[test]
fn what_was_appended_is_written_after_the_last_handle_is_dropped() {
    let gated = gated();
    gated.output.write_line(0, b"last");
    drop((gated.output, gated.answer));
    // The channel ends when the thread does.
    assert_eq!(gated.written.iter().flatten().collect::<Vec<_>>(), b"last\n");
}

#[test]
fn a_rotated_file_keeps_the_old_lines_and_a_new_one_gets_the_rest() {
    let folder = Folder::new();
    let (path, old) = (folder.file("access.log"), folder.file("access.log.1"));
    let outputs = Outputs::new(1, Metrics::new(1));
    let output = outputs.open(&config::Output::File(path.clone())).unwrap();
    output.write_line(0, b"before");
    fs::rename(&path, &old).unwrap();
    outputs.reopen();
    assert!(outputs.flush(LONG));
    output.write_line(0, b"after");
    assert!(outputs.flush(LONG));
    assert_eq!((read(&old).as_str(), read(&path).as_str()), ("before\n", "after\n"));
}

#[test]
fn a_file_is_appended_to() {
    let folder = Folder::new();
    let path = folder.file("access.log");
    fs::write(&path, "here already\n").unwrap();
    let output = Output::open(&config::Output::File(path.clone()), 1, &Metrics::new(1)).unwrap();
    output.write_line(0, b"new");
    assert!(output.flush(LONG));
    assert_eq!(read(&path), "here already\nnew\n");
}

#[test]
fn plugins_share_a_destination_until_none_has_it() {
    let folder = Folder::new();
    let destination = config::Output::File(folder.file("access.log"));
    let outputs = Outputs::new(1, Metrics::new(1));
    let (one, two) = (outputs.open(&destination).unwrap(), outputs.open(&destination).unwrap());
    assert!(Arc::ptr_eq(&one, &two));
    outputs.reopen();
    let again = outputs.open(&destination).unwrap();
    assert!(Arc::ptr_eq(&one, &again));
    drop((one, two, again));
    outputs.reopen();
    assert!(outputs.open.lock().is_empty());
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let folder = Folder::new();
    let path = folder.file("missing/access.log");
    let outputs = Outputs::new(1, Metrics::new(1));
    let error = outputs.open(&config::Output::File(path.clone())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains(path.to_str().unwrap()));
}
