//! The contract in `wit/`, as Rust types and functions.
//!
//! Both targets take the types from here. The functions work in WebAssembly only: native code goes by `host`
//! to the mock.

wit_bindgen::generate!({
    world: "plugin",
    path: "wit",
    generate_all,
    ownership: Borrowing { duplicate_if_necessary: false },
    additional_derives: [PartialEq, Eq],
    pub_export_macro: true,
    default_bindings_module: "gofe_plugin::bindings",
    runtime_path: "::wit_bindgen::rt",
});
