//! The guest in AssemblyScript, built with the compiler and the SDK that its package.json names.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, setup};

/// The folder of its sources.
const SOURCES: &str = "tests/assemblyscript";

/// Builds it to this file. False where there is no npm, or its packages cannot be had: then the tests that load it leave
/// that out.
pub(super) fn build(workspace: &Workspace, module: &Path) -> Result<bool> {
    if !setup::npm()? {
        eprintln!("npm is not there; without it there is no guest in AssemblyScript");
        return Ok(false);
    }
    let sources = workspace.root.join(SOURCES);
    let folder = workspace.target.join("assemblyscript");
    fs::create_dir_all(folder.join("assembly"))?;
    for file in ["package.json", "assembly/index.ts"] {
        fs::copy(sources.join(file), folder.join(file)).with_context(|| format!("{SOURCES}/{file}"))?;
    }
    let compiler = folder.join("node_modules/assemblyscript/bin/asc");
    // npm leaves what is there alone, but needs seconds to see it.
    let (marker, wanted) = (folder.join("installed"), fs::read_to_string(sources.join("package.json"))?);
    if !compiler.is_file() || fs::read_to_string(&marker).ok().as_ref() != Some(&wanted) {
        let mut install = Command::new("npm");
        install.current_dir(&folder).args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--loglevel=error",
        ]);
        if let Err(error) = process::run(&mut install) {
            eprintln!("{error:#}\nwithout the packages of {SOURCES}, there is no guest in AssemblyScript");
            return Ok(false);
        }
        fs::write(&marker, wanted)?;
    }
    let mut compile = Command::new("node");
    compile.current_dir(&folder).arg(compiler).args([
        "assembly/index.ts",
        "--optimize",
        "--use",
        "abort=abort_proc_exit",
    ]);
    process::run(compile.arg("--binaryFile").arg(module))?;
    Ok(true)
}
