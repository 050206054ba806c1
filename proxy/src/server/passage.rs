//! A listener that passes bytes: from the client's connection to an upstream's, both ways, until both have ended or
//! nothing moves any more.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tracing::debug;

use super::connection::secure;
use super::tunnel::{Moved, pass};
use super::worker::Worker;
use crate::net::{Batched, Connection, Stream, Tls, read_hello};
use crate::snapshot::{Passage, Upstream};
use crate::upstream::{Ends, Events, Hint};

/// How long a client may take to say which server it asks for, where gofe does not end its TLS.
const HELLO: Duration = Duration::from_secs(10);

/// A client's connection that is open, and what must be known to pass it on.
struct Client {
    stream: Stream,
    /// What was read of it already.
    first: Vec<u8>,
    server_name: Option<String>,
}

/// Passes a connection to its end.
pub(super) async fn serve(
    worker: &Arc<Worker>,
    connection: Connection,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    passage: &Passage,
) {
    let Some(client) = open(worker, connection, address, tls, passage).await else { return };
    let end = match passage.upstream(client.server_name.as_deref()) {
        // While gofe drains, what is open goes on: it has no requests after which it could end.
        Some(upstream) => carry(worker, client, address, upstream, passage.idle_timeout).await,
        None => {
            debug!(%address, server_name = client.server_name, "no upstream is for this server name");
            "no-upstream"
        }
    };
    worker.metrics.passed(worker.index, end);
}

/// Ends the TLS of a connection, or reads which server it is for, as far as the listener asks for either.
async fn open(
    worker: &Arc<Worker>,
    mut connection: Connection,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    passage: &Passage,
) -> Option<Client> {
    if let Some(tls) = tls {
        let secured = Box::pin(secure(worker, tls, connection, address)).await?;
        let server_name = secured.info.server_name.as_deref().map(str::to_ascii_lowercase);
        return Some(Client { stream: secured.stream, first: Vec::new(), server_name });
    }
    let (mut first, mut server_name) = (Vec::new(), None);
    if passage.reads_names() {
        let hello = tokio::select! {
            hello = read_hello(&mut connection, HELLO) => hello,
            () = worker.shared.drained() => return None,
        };
        match hello {
            Ok(hello) => (first, server_name) = (hello.bytes, hello.server_name),
            Err(error) => {
                worker.metrics.handshake(worker.index, error.reason());
                debug!(%address, "no server name: {error}");
                return None;
            }
        }
    }
    Some(Client { stream: Stream::Plain(Batched::new(connection)), first, server_name })
}

/// Connects, and passes bytes; the word for how it ended. Both ends are in hand here before the first byte is passed:
/// filters of bytes belong between them.
async fn carry(
    worker: &Arc<Worker>,
    client: Client,
    address: SocketAddr,
    upstream: &Upstream,
    idle: Duration,
) -> &'static str {
    let hint = Hint { client: Some(address.ip()), ..Hint::default() };
    let ends = Ends { client: address, local: None };
    let events = Events { worker: worker.index, metrics: Some(&upstream.metrics) };
    let mut connected = match upstream.cluster.connect(hint, ends, events).await {
        Ok(connected) => connected,
        Err(error) => {
            debug!(%address, upstream = &*upstream.name, "no connection to the upstream: {error}");
            return "no-connection";
        }
    };
    if connected.stream.write_all(&client.first).await.is_err() || connected.stream.flush().await.is_err() {
        return "tunnel-broke-off";
    }
    let end = pass(client.stream, connected.stream, &Moved::default(), idle).await;
    debug!(%address, upstream = &*upstream.name, endpoint = &*connected.endpoint, end, "a connection was passed");
    end
}
