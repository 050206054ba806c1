//! Every target takes the inputs in `fuzz/inputs`: those with which a search begins, and those that once broke it.

use std::fs;
use std::path::Path;

// With the instrumented library, its counters are libFuzzer's.
#[cfg(feature = "libfuzzer")]
use libfuzzer_sys as _;

#[test]
fn every_target_takes_the_inputs_that_are_kept() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("inputs");
    for (name, target) in gofe_fuzz::TARGETS {
        target(b"");
        let mut inputs: Vec<_> = fs::read_dir(folder.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{name}");
        for input in inputs {
            println!("{}", input.display());
            target(&fs::read(input).unwrap());
        }
    }
}
