//! The `gofe` binary.

fn main() {}
