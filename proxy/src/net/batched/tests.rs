use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::yield_now;
use tokio::time::timeout;

use super::{Batched, LARGE, send_in_turn};

/// A connection, and its peer.
async fn pair() -> (Batched, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (Batched::new(stream), listener.accept().await.unwrap().0)
}

async fn text(peer: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    timeout(Duration::from_secs(10), peer.read_exact(&mut bytes)).await.expect("it is sent").unwrap();
    String::from_utf8(bytes).unwrap()
}

fn has_nothing(peer: &TcpStream) -> bool {
    peer.try_read(&mut [0]).is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock)
}

#[tokio::test]
async fn a_write_is_sent_when_the_other_tasks_have_run() {
    tokio::spawn(send_in_turn());
    yield_now().await;
    let (mut one, mut peer_of_one) = pair().await;
    let (mut two, mut peer_of_two) = pair().await;
    one.write_all(b"one").await.unwrap();
    one.flush().await.unwrap();
    two.write_all(b"two").await.unwrap();
    two.flush().await.unwrap();
    assert!(has_nothing(&peer_of_one) && has_nothing(&peer_of_two), "this task has not given way yet");
    assert_eq!(text(&mut peer_of_one, 3).await, "one");
    assert_eq!(text(&mut peer_of_two, 3).await, "two");
}

#[tokio::test]
async fn where_nobody_sends_in_turn_a_write_goes_out_at_once() {
    let (mut stream, mut peer) = pair().await;
    stream.write_all(b"now").await.unwrap();
    assert_eq!(text(&mut peer, 3).await, "now");
}

#[tokio::test]
async fn what_is_dropped_after_a_flush_is_sent() {
    tokio::spawn(send_in_turn());
    yield_now().await;
    let (mut stream, mut peer) = pair().await;
    stream.write_all(b"last words").await.unwrap();
    stream.flush().await.unwrap();
    drop(stream);
    let mut all = String::new();
    timeout(Duration::from_secs(10), peer.read_to_string(&mut all)).await.expect("the end").unwrap();
    assert_eq!(all, "last words");
}

#[tokio::test]
async fn shutting_down_sends_what_waits_and_then_the_end() {
    tokio::spawn(send_in_turn());
    yield_now().await;
    let (mut stream, mut peer) = pair().await;
    stream.write_all(b"bye").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut all = String::new();
    timeout(Duration::from_secs(10), peer.read_to_string(&mut all)).await.expect("the end").unwrap();
    assert_eq!(all, "bye");
}

#[tokio::test]
async fn a_slow_reader_gets_everything_in_order_and_holds_the_writer_up() {
    tokio::spawn(send_in_turn());
    let (mut stream, mut peer) = pair().await;
    // Small and large writes by turns, more than any socket's buffers hold.
    let chunks: Vec<Vec<u8>> = (0..600u32)
        .map(|n| (0..if n % 3 == 0 { LARGE as u32 * 2 } else { 1000 }).map(|at| (at ^ n) as u8).collect())
        .collect();
    let expected = chunks.concat();
    let mut writing = tokio::spawn(async move {
        for chunk in &chunks {
            stream.write_all(chunk).await.unwrap();
            stream.flush().await.unwrap();
        }
        stream.shutdown().await.unwrap();
    });
    // Nobody reads: the writer must wait, not collect everything in memory.
    assert!(timeout(Duration::from_millis(200), &mut writing).await.is_err());
    let mut all = Vec::new();
    timeout(Duration::from_secs(20), peer.read_to_end(&mut all)).await.expect("the end").unwrap();
    assert!(all == expected, "{} of {} bytes", all.len(), expected.len());
    writing.await.unwrap();
}

#[tokio::test]
async fn the_writer_learns_that_the_reader_is_gone() {
    tokio::spawn(send_in_turn());
    let (mut stream, peer) = pair().await;
    drop(peer);
    let written = timeout(Duration::from_secs(10), async {
        loop {
            let result = async {
                stream.write_all(b"anybody there?").await?;
                stream.flush().await
            };
            if let Err(error) = result.await {
                return error;
            }
            yield_now().await;
        }
    });
    let error = written.await.expect("an error");
    assert!(matches!(error.kind(), std::io::ErrorKind::BrokenPipe | std::io::ErrorKind::ConnectionReset), "{error}");
}
