//! What is answered to authorities that look whether a name leads here.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::sign::CertifiedKey;

/// Where authorities ask in cleartext (RFC 8555, section 8.3).
const FOLDER: &str = "/.well-known/acme-challenge/";

/// Answers of the orders that are under way; there is none at other times.
#[derive(Debug, Default)]
pub struct Answers {
    texts: RwLock<HashMap<String, String>>,
    certificates: RwLock<HashMap<String, Arc<CertifiedKey>>>,
}

/// An answer, which is given as long as this is held.
pub(super) enum Given {
    Text(Arc<Answers>, String),
    Certificate(Arc<Answers>, String),
}

impl Answers {
    /// The text of a path; nothing where no authority has reason to ask for it.
    pub fn text(&self, path: &str) -> Option<String> {
        let token = path.strip_prefix(FOLDER)?;
        self.texts.read().get(token).cloned()
    }

    pub(super) fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.certificates.read().get(&name.to_ascii_lowercase()).cloned()
    }

    pub(super) fn give_text(self: &Arc<Self>, token: &str, text: &str) -> Given {
        self.texts.write().insert(token.to_owned(), text.to_owned());
        Given::Text(self.clone(), token.to_owned())
    }

    pub(super) fn give_certificate(self: &Arc<Self>, name: &str, certificate: CertifiedKey) -> Given {
        let name = name.to_ascii_lowercase();
        self.certificates.write().insert(name.clone(), Arc::new(certificate));
        Given::Certificate(self.clone(), name)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        match self {
            Self::Text(answers, token) => drop(answers.texts.write().remove(token)),
            Self::Certificate(answers, name) => drop(answers.certificates.write().remove(name)),
        }
    }
}
