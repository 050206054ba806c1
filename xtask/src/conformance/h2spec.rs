//! h2spec: a client that breaks each rule of HTTP/2 and HPACK, one by one.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::site::Site;
use super::{Cases, go};
use crate::workspace::Workspace;

const PROGRAM: &str = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible";

/// Runs it in cleartext and in TLS.
pub(super) fn run(workspace: &Workspace) -> Result<Cases> {
    let program = go::install(PROGRAM)?;
    // The upstream reads all of a request: an answer before that would come between a broken frame and what is due for it.
    let site = Site::start(workspace, "routes: [{ upstream: echo }]\nupstreams: { echo: { builtin: echo } }\n")?;
    let folder = tempfile::tempdir()?;
    let mut all = Cases::default();
    for (way, host, port) in [("cleartext", "127.0.0.1", site.plain), ("tls", "127.0.0.2", site.tls)] {
        let report = folder.path().join(format!("{way}.xml"));
        let mut command = Command::new(&program);
        command.args(["--host", host, "--port", &port.to_string(), "--timeout", "5", "--junit-report"]).arg(&report);
        if way == "tls" {
            command.args(["--tls", "--insecure"]);
        }
        // It ends with an error when a case fails; which do is in the report.
        command.args(["generic", "http2", "hpack"]).stdout(Stdio::null()).status().context("h2spec")?;
        all = all.and(cases(&fs::read_to_string(&report).context("h2spec wrote no report")?, way));
    }
    Ok(all)
}

/// The cases in a report, as `http2/5.1/3 tls`.
fn cases(report: &str, way: &str) -> Cases {
    let mut cases = Cases::default();
    let mut numbers = BTreeMap::new();
    for case in report.split("<testcase ").skip(1) {
        let head = case.split('>').next().unwrap_or_default();
        let section = head.split("package=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or("?");
        let number = numbers.entry(section.to_owned()).or_insert(0);
        *number += 1;
        cases.count += 1;
        let body = case.split("</testcase>").next().unwrap_or_default();
        if ["<failure", "<error"].iter().any(|sign| body.contains(sign)) {
            cases.failed.insert(format!("{section}/{number} {way}"));
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use super::cases;

    #[test]
    fn a_report_says_what_failed() {
        let report = r#"<testsuite><testcase package="http2/5.1" classname="a" time="0.1"></testcase>
            <testcase package="http2/5.1" classname="b" time="0.1"><failure>x</failure></testcase></testsuite>"#;
        let cases = cases(report, "tls");
        assert_eq!(
            (cases.count, cases.failed.into_iter().collect::<Vec<_>>()),
            (2, vec!["http2/5.1/2 tls".to_owned()])
        );
    }
}
