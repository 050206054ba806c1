//! `cargo xtask guests`: the plugins that only tests load, from `tests/guests` to `target/guests`.

mod npm;

use std::fs;
use std::path::PathBuf;

use anyhow::Result;

use crate::wasm::Builder;
use crate::workspace::Workspace;

/// The folder for the modules, which tests get as `GOFE_GUESTS`.
pub(crate) fn folder(workspace: &Workspace) -> PathBuf {
    workspace.target.join("guests")
}

/// Builds every guest to `<folder of the crate>.wasm`. A guest names another target than
/// `wasm32-unknown-unknown` in its manifest: `[package.metadata.gofe]`, `target = "wasm32-wasip2"`.
pub(crate) fn build(workspace: &Workspace) -> Result<()> {
    let folder = folder(workspace);
    fs::create_dir_all(&folder)?;
    let guests = workspace.modules_in("tests/guests");
    let builder = Builder::new(workspace)?;
    for guest in &guests {
        let built = builder.build(guest)?;
        fs::copy(built, folder.join(format!("{}.wasm", guest.short_name())))?;
    }
    // A filter that is built for another proxy, and not for tests.
    for filter in workspace.modules_in("benches/plugins").iter().filter(|filter| filter.short_name() == "proxy-wasm") {
        fs::copy(builder.build(filter)?, folder.join("bench-proxy-wasm.wasm"))?;
    }
    // Those that an example has in its chain.
    for plugin in workspace.modules_in("examples/plugins") {
        fs::copy(builder.build(plugin)?, folder.join(format!("example-{}.wasm", plugin.short_name())))?;
    }
    let more = npm::build(workspace, &folder)?;
    eprintln!("{} guests in {}", guests.len() + more, folder.display());
    Ok(())
}
