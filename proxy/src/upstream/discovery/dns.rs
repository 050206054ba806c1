//! Endpoints by DNS: A, AAAA and SRV records, asked again when their time is over.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::{RData, RecordType};
use http::uri::Authority;
use tokio::time::timeout;

use super::{Discovery, Sink};
use crate::config::{self, Endpoint, Records};

/// How long a question may take, over all servers and repetitions.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The first pause after a failure; each is twice as long as the one before.
const BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Asks for a name.
pub(super) struct Dns {
    config: config::Dns,
}

impl Dns {
    pub(super) fn new(config: &config::Dns) -> Self {
        Self { config: config.clone() }
    }
}

impl Discovery for Dns {
    fn run(self: Box<Self>, sink: Sink) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut pause = Pause::default();
            loop {
                let found = match timeout(TIMEOUT, self.find()).await {
                    Ok(found) => found,
                    Err(_) => Err(format!("{}: no answer within {TIMEOUT:?}", self.config.name)),
                };
                let wait = match found {
                    Ok((endpoints, ttl)) => {
                        pause = Pause::default();
                        sink.update(endpoints);
                        ttl.clamp(*self.config.ttl.start(), *self.config.ttl.end())
                    }
                    Err(error) => {
                        sink.failed(error);
                        pause.next()
                    }
                };
                let least = wait.min(*self.config.ttl.start());
                tokio::time::sleep(least).await;
                tokio::select! {
                    () = sink.doubted() => {}
                    () = tokio::time::sleep(wait - least) => {}
                }
            }
        })
    }
}

/// Pauses that become longer.
#[derive(Default)]
struct Pause(Option<Duration>);

impl Pause {
    fn next(&mut self) -> Duration {
        let next = self.0.map_or(BACKOFF, |last| (last * 2).min(MAX_BACKOFF));
        self.0 = Some(next);
        next
    }
}

impl Dns {
    /// The endpoints, and for how long they may be used.
    async fn find(&self) -> Result<(Vec<Endpoint>, Duration), String> {
        let resolver = self.resolver().map_err(|error| format!("{}: {error}", self.config.name))?;
        let (endpoints, until) = match self.config.records {
            Records::Srv => self.services(&resolver).await?,
            Records::A => self.addresses(&resolver, &self.config.name, &[RecordType::A]).await?,
            Records::Aaaa => self.addresses(&resolver, &self.config.name, &[RecordType::AAAA]).await?,
            Records::Ip => self.addresses(&resolver, &self.config.name, &[RecordType::A, RecordType::AAAA]).await?,
        };
        if endpoints.is_empty() {
            return Err(format!("{} resolves to nothing", self.config.name));
        }
        Ok((endpoints, until.saturating_duration_since(Instant::now())))
    }

    /// A new one for each search: a change of the system's name servers is seen, and it has no cache beside ours.
    fn resolver(&self) -> Result<TokioResolver, NetError> {
        let provider = TokioRuntimeProvider::default();
        let mut builder = if self.config.servers.is_empty() {
            TokioResolver::builder(provider)?
        } else {
            let server = |address: &std::net::SocketAddr| {
                let mut connections = vec![ConnectionConfig::udp(), ConnectionConfig::tcp()];
                connections.iter_mut().for_each(|connection| connection.port = address.port());
                NameServerConfig::new(address.ip(), true, connections)
            };
            let servers = self.config.servers.iter().map(server).collect();
            TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), servers), provider)
        };
        let options = builder.options_mut();
        options.cache_size = 0;
        options.timeout = Duration::from_secs(2);
        options.attempts = 2;
        builder.build()
    }

    /// What a name has of these kinds; an error only where all fail.
    async fn addresses(
        &self,
        resolver: &TokioResolver,
        name: &str,
        kinds: &[RecordType],
    ) -> Result<(Vec<Endpoint>, Instant), String> {
        let (found, until) = self.ips(resolver, name, kinds).await?;
        let port = self.config.port.unwrap_or(80);
        Ok((found.into_iter().filter_map(|ip| endpoint(ip, port, 1, 0)).collect(), until))
    }

    async fn ips(
        &self,
        resolver: &TokioResolver,
        name: &str,
        kinds: &[RecordType],
    ) -> Result<(Vec<IpAddr>, Instant), String> {
        let (mut found, mut until, mut error) = (Vec::new(), None, None);
        for kind in kinds {
            match ask(resolver, name, *kind).await {
                Ok(lookup) => {
                    until = until.into_iter().chain([lookup.valid_until()]).min();
                    found.extend(lookup.answers().iter().filter_map(|record| match &record.data {
                        RData::A(a) => Some(IpAddr::V4(a.0)),
                        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0)),
                        _ => None,
                    }));
                }
                // A name that has addresses of the other kind only is no failure.
                Err(found) if found.is_no_records_found() => error = error.or(Some(format!("{name}: {found}"))),
                // With half of the addresses, the other half would be thought gone.
                Err(error) => return Err(format!("{name}: {error}")),
            }
        }
        match (until, error) {
            (Some(until), _) if !found.is_empty() => Ok((found, until)),
            (_, Some(error)) => Err(error),
            _ => Err(format!("{name} resolves to nothing")),
        }
    }

    /// SRV records (RFC 2782), with the addresses of their targets.
    async fn services(&self, resolver: &TokioResolver) -> Result<(Vec<Endpoint>, Instant), String> {
        let name = &self.config.name;
        let lookup = ask(resolver, name, RecordType::SRV).await.map_err(|error| format!("{name}: {error}"))?;
        let (mut endpoints, mut until) = (Vec::new(), lookup.valid_until());
        let mut priorities: Vec<u16> = Vec::new();
        let services = lookup.answers().iter().filter_map(|record| match &record.data {
            RData::SRV(srv) => Some(srv),
            _ => None,
        });
        let services: Vec<_> = services.collect();
        priorities.extend(services.iter().map(|srv| srv.priority));
        priorities.sort_unstable();
        priorities.dedup();
        for srv in services {
            // "." says that there is no such service here.
            if srv.target.is_root() {
                continue;
            }
            let target = srv.target.to_utf8();
            let (ips, valid) = self.ips(resolver, &target, &[RecordType::A, RecordType::AAAA]).await?;
            until = until.min(valid);
            let level = priorities.iter().position(|priority| *priority == srv.priority).unwrap_or(0).min(255);
            // A weight of 0 asks for a very small share, not for none.
            let weight = u32::from(srv.weight).max(1);
            endpoints.extend(ips.into_iter().filter_map(|ip| endpoint(ip, srv.port, weight, level as u8)));
        }
        Ok((endpoints, until))
    }
}

async fn ask(resolver: &TokioResolver, name: &str, kind: RecordType) -> Result<Lookup, NetError> {
    // A name with dots is whole: the system's search domains are for people.
    let whole = if name.contains('.') && !name.ends_with('.') { format!("{name}.") } else { name.to_owned() };
    resolver.lookup(whole, kind).await
}

fn endpoint(ip: IpAddr, port: u16, weight: u32, priority: u8) -> Option<Endpoint> {
    let authority = Authority::try_from(std::net::SocketAddr::new(ip, port).to_string()).ok()?;
    Some(Endpoint { authority, socket: None, labels: BTreeMap::new(), weight, priority })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let mut pause = Pause::default();
        let seconds: Vec<_> = (0..7).map(|_| pause.next().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);
    }
}
