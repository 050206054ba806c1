//! A listener that passes bytes: from the client's connection to an upstream's, both ways, until both have ended or
//! nothing moves any more.

mod filter;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::debug;

use super::connection::secure;
use super::tunnel::{Moved, pass};
use super::worker::Worker;
use crate::chain::{self, Passenger, TlsInfo};
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
    tls: Option<Box<TlsInfo>>,
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
        Some(upstream) => carry(worker, client, address, upstream, passage).await,
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
        return Some(Client { stream: secured.stream, first: Vec::new(), server_name, tls: Some(secured.info) });
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
    Some(Client { stream: Stream::Plain(Batched::new(connection)), first, server_name, tls: None })
}

/// Connects, and passes bytes, through filters where there are any; the word for how it ended.
async fn carry(
    worker: &Arc<Worker>,
    mut client: Client,
    address: SocketAddr,
    upstream: &Upstream,
    passage: &Passage,
) -> &'static str {
    let mut filters = Vec::new();
    if !passage.filters.is_empty() {
        let known = chain::Client::new(worker.index, address, client.tls.take());
        let passenger = Passenger { client: Arc::new(known), upstream: upstream.name.clone() };
        // A filter that holds a connection before its first byte has as long as one on which no byte moves.
        let begun = timeout(passage.idle_timeout, filter::begin(&passage.filters, &passenger)).await;
        filters = match begun {
            Ok(Ok(filters)) => filters,
            Ok(Err(end)) => return end,
            Err(_) => return "tunnel-idle",
        };
    }
    let hint = Hint { client: Some(address.ip()), ..Hint::default() };
    let ends = Ends { client: address, local: None };
    let events = Events { worker: worker.index, metrics: Some(&upstream.metrics) };
    let mut connected = match upstream.cluster.connect(hint, ends, events).await {
        Ok(connected) => connected,
        Err(error) => {
            debug!(%address, upstream = &*upstream.name, "no connection to the upstream: {error}");
            filter::end(filters, [false; 2]);
            return "no-connection";
        }
    };
    if !filters.is_empty() {
        let filtered = filter::pass(client.stream, client.first, connected, filters, passage.idle_timeout);
        return Box::pin(filtered).await;
    }
    if connected.stream.write_all(&client.first).await.is_err() || connected.stream.flush().await.is_err() {
        return "tunnel-broke-off";
    }
    let end = pass(client.stream, connected.stream, &Moved::default(), passage.idle_timeout).await;
    debug!(%address, upstream = &*upstream.name, endpoint = &*connected.endpoint, end, "a connection was passed");
    end
}
