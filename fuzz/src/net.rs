//! What connections begin with.

use std::time::Duration;

use gofe::net::{Connection, read_hello, read_proxy_header};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::plugin::RUNTIME;

/// More would wait for the reader.
const LONGEST: usize = 32 << 10;
const TIMEOUT: Duration = Duration::from_secs(10);

/// A connection on which these bytes have come, and nothing follows.
async fn connection(input: &[u8]) -> Connection {
    let (mut theirs, ours) = UnixStream::pair().expect("a pair of sockets");
    theirs.write_all(&input[..input.len().min(LONGEST)]).await.expect("the bytes fit");
    Connection::Unix(ours)
}

pub(crate) fn proxy_header(input: &[u8]) {
    RUNTIME.block_on(async { drop(read_proxy_header(&mut connection(input).await, TIMEOUT).await) });
}

pub(crate) fn client_hello(input: &[u8]) {
    RUNTIME.block_on(async { drop(read_hello(&mut connection(input).await, TIMEOUT).await) });
}
