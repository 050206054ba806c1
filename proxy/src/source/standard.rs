//! The standard plugins: ordinary plugins on the public SDK, built from `plugins/` and carried in the binary.

/// The bytes of a standard plugin.
pub(super) fn find(name: &str) -> Option<&'static [u8]> {
    Some(match name {
        "access-log" => include_bytes!("../../../plugins/dist/access-log.wasm"),
        "api-key" => include_bytes!("../../../plugins/dist/api-key.wasm"),
        "jwt" => include_bytes!("../../../plugins/dist/jwt.wasm"),
        "rate-limit" => include_bytes!("../../../plugins/dist/rate-limit.wasm"),
        "router" => include_bytes!("../../../plugins/dist/router.wasm"),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use crate::config::STANDARD_PLUGINS;

    #[test]
    fn every_standard_plugin_that_the_configuration_knows_is_in_the_binary() {
        for name in STANDARD_PLUGINS {
            assert!(super::find(name).is_some_and(|bytes| bytes.starts_with(b"\0asm")), "std:{name}");
        }
    }
}
