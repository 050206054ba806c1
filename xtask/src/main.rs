//! `cargo xtask`: the developer commands of gofe.

fn main() {}
