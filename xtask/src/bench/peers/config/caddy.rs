//! Caddy.

use std::process::Command;

use anyhow::Result;

use super::{Place, when};

pub(super) fn command(place: &Place<'_>) -> Result<Command> {
    let Place { port, upstream, protocol, parts, .. } = place;
    let site = match protocol.tls {
        true => format!("https://localhost:{port}, https://127.0.0.1:{port}"),
        // For every name: what is asked for is not the same in each scenario.
        false => format!("http://:{port}"),
    };
    let tls = when(protocol.tls, || {
        let (certificate, key) = (parts.certificate.display(), parts.key.display());
        format!("  tls {certificate} {key} {{\n    protocols tls1.3\n  }}\n")
    });
    let protocols = if protocol.tls { "h1 h2" } else { "h1 h2c" };
    let text = format!(
        "{{\n  admin off\n  auto_https off\n  persist_config off\n  log default {{\n    level ERROR\n  }}\n\
         \x20 servers {{\n    protocols {protocols}\n  }}\n}}\n\
         {site} {{\n{tls}  reverse_proxy 127.0.0.1:{upstream}\n}}\n"
    );
    let mut command = place.wheel("caddy");
    command.args(["run", "--adapter", "caddyfile", "--config"]).arg(place.write("Caddyfile", &text)?);
    Ok(command)
}
