//! Tokens whose signature has been found good: the same client sends the same token again and again, and to check a
//! signature costs far more than all else.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use crate::claims::Claims;

/// The most tokens that are kept. When it is full it begins anew, which costs each client one check.
const MOST: usize = 256;

/// Tokens and their claims. Whether the claims hold is checked at each use.
#[derive(Default)]
pub(crate) struct Cache(RefCell<HashMap<Vec<u8>, Rc<Claims>>>);

// Tokens have no business in logs.
impl fmt::Debug for Cache {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Cache({})", self.0.borrow().len())
    }
}

impl Cache {
    pub(crate) fn get(&self, token: &[u8]) -> Option<Rc<Claims>> {
        self.0.borrow().get(token).cloned()
    }

    pub(crate) fn put(&self, token: &[u8], claims: &Rc<Claims>) {
        let mut tokens = self.0.borrow_mut();
        if tokens.len() >= MOST {
            tokens.clear();
        }
        tokens.insert(token.to_vec(), Rc::clone(claims));
    }

    /// Forgets all tokens, because the keys have changed.
    pub(crate) fn clear(&self) {
        self.0.borrow_mut().clear();
    }
}
