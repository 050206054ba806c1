//! Write gofe plugins in Rust.
