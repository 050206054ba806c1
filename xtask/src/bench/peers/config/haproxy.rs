//! HAProxy.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result};

use super::{Place, when};

pub(super) fn command(place: &Place<'_>) -> Result<Command> {
    let Place { port, upstream, workers, protocol, parts, .. } = place;
    let mut bind = format!("bind 127.0.0.1:{port}");
    if protocol.tls {
        // It wants both in one file.
        let both = [&parts.certificate, &parts.key].map(fs::read_to_string);
        let both = both.into_iter().collect::<Result<String, _>>().context("the certificate")?;
        let file = place.write("both.pem", &both)?;
        bind += &format!(" ssl crt {} ssl-min-ver TLSv1.3 alpn h2,http/1.1", file.display());
    }
    bind += &when(protocol.http2 && !protocol.tls, || " proto h2".into());
    let text = format!(
        "global\n  nbthread {workers}\n  maxconn 4000\n\
         defaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n  http-reuse always\n\
         frontend in\n  {bind}\n  default_backend up\n\
         backend up\n  server up 127.0.0.1:{upstream}\n"
    );
    let mut command = Command::new(&parts.haproxy);
    command.arg("-f").arg(place.write("haproxy.cfg", &text)?);
    Ok(command)
}
