//! What every part of gofe says about HTTP: the body type, and the rules for fields that belong to one connection
//! and not to the message (RFC 9110, section 7.6).

mod body;
pub mod edge;
pub mod grpc;
pub mod hop;
mod joined;
mod method;
pub mod origin;
mod status;
pub mod upgrade;

pub use body::{Body, BodyError};
pub use joined::Joined;
pub use method::assignable_method;
pub use status::final_status;
