//! nginx, as a subject and as the upstream.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use super::{Place, when};

/// Temporary folders of its own, so that it needs no rights, and its errors where they can be shown.
fn main(folder: &Path, workers: usize) -> String {
    let folder = folder.display();
    format!(
        "worker_processes {workers};\n\
         worker_rlimit_nofile 16384;\n\
         daemon off;\n\
         pid {folder}/nginx.pid;\n\
         error_log stderr;\n\
         events {{ worker_connections 8000; }}\n"
    )
}

fn http(folder: &Path) -> String {
    let kinds = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"];
    let paths: String = kinds.iter().map(|kind| format!("  {kind}_temp_path {}/{kind};\n", folder.display())).collect();
    format!("  access_log off;\n  keepalive_requests 100000000;\n  keepalive_timeout 3600s;\n{paths}")
}

fn nginx(program: &Path, file: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["-e", "stderr", "-c"]).arg(file);
    command
}

pub(super) fn command(place: &Place<'_>) -> Result<Command> {
    let Place { folder, port, upstream, workers, protocol, parts } = place;
    let mut listen = format!("listen 127.0.0.1:{port}");
    listen += if protocol.tls { " ssl" } else { "" };
    listen += if protocol.http2 { " http2" } else { "" };
    // With several workers each gets its share of the connections.
    listen += if *workers > 1 { " reuseport" } else { "" };
    let tls = when(protocol.tls, || {
        let (certificate, key) = (parts.certificate.display(), parts.key.display());
        format!("    ssl_certificate {certificate};\n    ssl_certificate_key {key};\n    ssl_protocols TLSv1.3;\n")
    });
    let (main, http) = (main(folder, *workers), http(folder));
    let text = format!(
        "{main}http {{\n{http}\
         \x20 upstream up {{ server 127.0.0.1:{upstream}; keepalive 128; keepalive_requests 100000000; }}\n\
         \x20 server {{\n    {listen};\n{tls}    location / {{\n\
         \x20     proxy_http_version 1.1;\n      proxy_set_header Connection \"\";\n      proxy_pass http://up;\n    }}\n  }}\n}}\n"
    );
    Ok(nginx(&parts.nginx, &place.write("nginx.conf", &text)?))
}

/// The upstream of all subjects: 1 KiB, or at `/user` what it got as `x-user`.
pub(in crate::bench::peers) fn upstream(place: &Place<'_>) -> Result<Command> {
    std::fs::create_dir_all(&place.folder)?;
    let body = "x".repeat(1024);
    let (main, http) = (main(&place.folder, 1), http(&place.folder));
    let text = format!(
        "{main}http {{\n{http}  default_type text/plain;\n\
         \x20 server {{\n    listen 127.0.0.1:{} backlog=8192;\n\
         \x20   location / {{ return 200 \"{body}\"; }}\n\
         \x20   location = /user {{ return 200 \"$http_x_user\"; }}\n  }}\n}}\n",
        place.port
    );
    Ok(nginx(&place.parts.nginx, &place.write("nginx.conf", &text)?))
}
