//! libFuzzer with the target that the environment variable `GOFE_FUZZ_TARGET` names. `cargo xtask fuzz` runs it.
#![no_main]

use std::sync::LazyLock;

use gofe_fuzz::Target;
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("GOFE_FUZZ_TARGET").expect("GOFE_FUZZ_TARGET names a target");
    gofe_fuzz::target(&name).expect("there is a target of this name")
});

fuzz_target!(|input: &[u8]| TARGET(input));
