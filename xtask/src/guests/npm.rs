//! Guests that are built with compilers from npm: in AssemblyScript, and in JavaScript. Each folder of sources has a
//! package.json that names its compiler.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::workspace::Workspace;
use crate::{process, setup};

/// The interfaces of WASI that the engine of JavaScript speaks, and the version of them that its compiler brings along. Within
/// 0.2 they only grow, so that the newer text under the older number says too much, and never something wrong.
const WASI: (&str, &str) = ("@0.2.10", "@0.2.12");
/// Where they lie among the packages.
const INTERFACES: &str = "node_modules/@bytecodealliance/jco/lib/wit/builtin/0.2.12";

/// Builds them into this folder, and says how many. Without npm or its packages there is none: then the tests that load them
/// leave that out.
pub(super) fn build(workspace: &Workspace, guests: &Path) -> Result<usize> {
    if !setup::npm()? {
        eprintln!("npm is not there; without it there are no guests in AssemblyScript and JavaScript");
        return Ok(0);
    }
    let mut built = 0;
    if let Some(project) =
        Project::install(workspace, "assemblyscript", &["assembly/index.ts", "assembly/http_wasm.ts"])?
    {
        project.assembly_script("assembly/index.ts", "abort_proc_exit", &guests.join("assemblyscript.wasm"))?;
        let http_wasm = "assembly/http_wasm.ts";
        project.assembly_script(
            http_wasm,
            "assembly/http_wasm/failed",
            &guests.join("assemblyscript-http-wasm.wasm"),
        )?;
        built += 2;
    }
    if let Some(project) = Project::install(workspace, "javascript", &["guest.js", "world.wit"])? {
        project.java_script(&guests.join("javascript.wasm"))?;
        built += 1;
    }
    Ok(built)
}

/// Sources, with the packages that their compiler needs beside them.
struct Project {
    folder: PathBuf,
    /// Neither sources nor packages have changed since the last time.
    unchanged: bool,
}

impl Project {
    /// Copies the sources of `tests/NAME` to the target folder, where the packages may lie, and installs these.
    fn install(workspace: &Workspace, name: &str, files: &[&str]) -> Result<Option<Self>> {
        let (sources, folder) = (workspace.root.join("tests").join(name), workspace.target.join(name));
        let mut unchanged = true;
        for file in files.iter().chain(&["package.json"]) {
            let text = fs::read_to_string(sources.join(file)).with_context(|| format!("tests/{name}/{file}"))?;
            let copy = folder.join(file);
            if fs::read_to_string(&copy).ok().as_ref() != Some(&text) {
                unchanged = false;
                fs::create_dir_all(copy.parent().unwrap_or(&folder))?;
                fs::write(&copy, text)?;
            }
        }
        // npm leaves what is there alone, but needs seconds to see it.
        let (marker, wanted) = (folder.join("installed"), fs::read_to_string(folder.join("package.json"))?);
        if fs::read_to_string(&marker).ok().as_ref() == Some(&wanted) {
            return Ok(Some(Self { folder, unchanged }));
        }
        let mut install = Command::new("npm");
        let quietly = ["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        if let Err(error) = process::run(install.current_dir(&folder).args(quietly)) {
            eprintln!("{error:#}\nwithout the packages of tests/{name}, its guests are left out");
            return Ok(None);
        }
        fs::write(&marker, wanted)?;
        Ok(Some(Self { folder, unchanged: false }))
    }

    /// A command of Node.js in this project.
    fn node(&self, program: &str) -> Command {
        let mut command = Command::new("node");
        command.current_dir(&self.folder).arg(self.folder.join("node_modules").join(program));
        command
    }

    /// Compiles a module whose runtime calls `abort` when it fails.
    fn assembly_script(&self, source: &str, abort: &str, module: &Path) -> Result<()> {
        let mut compile = self.node("assemblyscript/bin/asc");
        compile.args([source, "--optimize", "--use", &format!("abort={abort}"), "--binaryFile"]);
        process::run(compile.arg(module))
    }

    /// Compiles a component. It has a whole engine of JavaScript in it, which takes many seconds: what has not changed is
    /// left as it is.
    fn java_script(&self, component: &Path) -> Result<()> {
        if self.unchanged && component.is_file() {
            return Ok(());
        }
        let wit = self.folder.join("wit");
        for package in ["cli", "clocks", "filesystem", "http", "io", "random", "sockets"] {
            let folder = wit.join("deps").join(package);
            fs::create_dir_all(&folder)?;
            let text = self.folder.join(INTERFACES).join(format!("wasi-{package}/package.wit"));
            let text = fs::read_to_string(&text).with_context(|| text.display().to_string())?;
            fs::write(folder.join("package.wit"), text.replace(WASI.1, WASI.0))?;
        }
        fs::copy(self.folder.join("world.wit"), wit.join("world.wit"))?;
        let mut compile = self.node("@bytecodealliance/componentize-js/src/cli.js");
        compile.args(["guest.js", "--wit", "wit", "--world-name", "guest", "--out"]);
        process::run(compile.arg(component))
    }
}
