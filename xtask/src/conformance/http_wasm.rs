//! http-wasm's Technology Compatibility Kit. The Go program in `tests/conformance/http-wasm` imports it, starts gofe with the
//! kit's guest, and sends the kit's requests.

use anyhow::Result;

use super::go;
use crate::process;
use crate::workspace::Workspace;

pub(super) fn run(workspace: &Workspace) -> Result<()> {
    let mut command = go::command()?;
    command.current_dir(workspace.root.join("tests/conformance/http-wasm")).env("GOFE_BIN", workspace.gofe());
    let text = process::output(command.args(["test", "-count=1", "-v", "./..."]))?;
    print!("{text}");
    for test in ["TestHTTP1", "TestHTTP2"] {
        // The kit's own cases: a name below the test's, without a further one below it.
        let passed = text.lines().filter(|line| line.trim_start().starts_with(&format!("--- PASS: {test}/"))).count();
        println!("{test}: {passed} passed");
    }
    Ok(())
}
