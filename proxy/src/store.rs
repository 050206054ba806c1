//! temporary
use std::time::Duration;
use bytes::Bytes;
pub struct Space;
pub struct Decision { pub allowed: bool, pub remaining: u64, pub retry_after: Duration, pub reset_after: Duration }
impl Space {
    pub fn get(&self, _k: &str) -> Option<Bytes> { None }
    pub fn set(&self, _k: &str, _v: Bytes, _t: Option<Duration>) -> Result<(), ()> { Ok(()) }
    pub fn delete(&self, _k: &str) {}
    pub fn take(&self, _key: &str, _tokens: u64, _rate: u64, _p: Duration, _b: u64) -> Decision { Decision { allowed: true, remaining: 1, retry_after: Duration::ZERO, reset_after: Duration::ZERO } }
    pub fn add(&self, _k: &str, d: i64, _t: Duration) -> i64 { d }
    pub fn counter(&self, _k: &str) -> i64 { 0 }
}
