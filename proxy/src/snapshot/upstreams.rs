//! Upstreams: certificates and keys are read, and clusters that did not change are taken over.

use std::collections::BTreeMap;

use super::build::escape;
use crate::config::{Config, Diagnostic, Source};
use crate::net::{ClientTls, Finding};

/// Reads what upstreams need to speak TLS; what is wrong with their files goes to `errors`, what serves all the same to
/// `warnings`.
pub(super) fn tls(
    source: &Source,
    config: &Config,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> BTreeMap<String, ClientTls> {
    let mut loaded = BTreeMap::new();
    for (name, upstream) in &config.upstreams {
        let Some(tls) = &upstream.sending.tls else { continue };
        let mut findings = Vec::new();
        loaded.extend(ClientTls::load(tls, &mut findings).map(|tls| (name.clone(), tls)));
        for finding in findings {
            let list = if finding.warning { &mut *warnings } else { &mut *errors };
            list.push(locate(source, name, finding));
        }
    }
    loaded
}

fn locate(source: &Source, upstream: &str, finding: Finding) -> Diagnostic {
    let diagnostic = source.error(&format!("/upstreams/{}/tls{}", escape(upstream), finding.pointer), finding.message);
    let diagnostic = if finding.help.is_empty() { diagnostic } else { diagnostic.with_help(finding.help) };
    if finding.warning { diagnostic.as_warning() } else { diagnostic }
}
