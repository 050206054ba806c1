//! Tells the plugin ABIs apart by what a file imports, exports and carries. Nothing is compiled for it.

use std::collections::BTreeMap;

use wasmparser::{Encoding, ExternalKind, KnownCustom, Parser, Payload, TypeRef};

use super::artifact::{ArtifactError, MAGIC};

/// The plugin ABIs that gofe tells apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Abi {
    /// gofe's own world, as a component or as a core module that carries the world.
    Gofe,
    /// proxy-wasm, of this version.
    ProxyWasm(ProxyWasm),
    /// The http-wasm handler ABI.
    HttpWasm,
    /// A component of package `wasi:http`.
    WasiHttp(WasiHttp),
}

/// The versions of proxy-wasm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyWasm {
    /// 0.1.0.
    V0_1_0,
    /// 0.2.0.
    V0_2_0,
    /// 0.2.1.
    V0_2_1,
}

/// The worlds of package `wasi:http`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WasiHttp {
    /// `proxy@0.2`: answers requests.
    Proxy,
    /// `service@0.3`: answers requests.
    Service,
    /// `middleware@0.3`: hands requests on to another handler.
    Middleware,
}

impl Abi {
    /// The name in the admin API and in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gofe => "gofe:plugin@0.1",
            Self::ProxyWasm(ProxyWasm::V0_1_0) => "proxy-wasm@0.1.0",
            Self::ProxyWasm(ProxyWasm::V0_2_0) => "proxy-wasm@0.2.0",
            Self::ProxyWasm(ProxyWasm::V0_2_1) => "proxy-wasm@0.2.1",
            Self::HttpWasm => "http-wasm@1",
            Self::WasiHttp(WasiHttp::Proxy) => "wasi:http/proxy@0.2",
            Self::WasiHttp(WasiHttp::Service) => "wasi:http/service@0.3",
            Self::WasiHttp(WasiHttp::Middleware) => "wasi:http/middleware@0.3",
        }
    }
}

/// What a file imports, exports and carries.
#[derive(Debug, Default)]
pub struct Shape {
    /// A component, and not a core module.
    pub component: bool,
    /// Imports: module (or interface) and name. A component's have no second name.
    pub imports: Vec<(String, String)>,
    /// Names of exported functions, or of a component's exports.
    pub exports: Vec<String>,
    /// Linear memory in pages of 64 KiB: at the start, and at most where the module says.
    pub memory: Option<(u64, Option<u64>)>,
    /// The world of `wit-bindgen` that a core module carries.
    pub world: bool,
    /// The tools that made it: field, name, version.
    pub producers: BTreeMap<(String, String), String>,
}

impl Shape {
    /// Reads the sections.
    ///
    /// # Errors
    /// When the bytes are not WebAssembly, or end in the middle.
    pub fn read(bytes: &[u8]) -> Result<Self, ArtifactError> {
        if bytes.is_empty() {
            return Err(ArtifactError::Empty);
        }
        if bytes.len() < 8 || !bytes.starts_with(MAGIC) {
            return Err(ArtifactError::NotWasm(bytes[..bytes.len().min(4)].to_vec()));
        }
        let mut shape = Self::default();
        shape.scan(bytes).map_err(|error| ArtifactError::Compile(error.to_string()))?;
        Ok(shape)
    }

    fn scan(&mut self, bytes: &[u8]) -> wasmparser::Result<()> {
        // How many modules or components stand around the section.
        let mut depth = 0_usize;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload? {
                Payload::Version { encoding, .. } if depth == 0 => self.component = encoding == Encoding::Component,
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::MemorySection(memories) if self.memory.is_none() => {
                    let memory = memories.into_iter().next().transpose()?;
                    self.memory = memory.map(|memory| (memory.initial, memory.maximum));
                }
                Payload::CustomSection(section) => {
                    self.world |= depth == 0 && section.name().starts_with("component-type");
                    self.custom(&section.as_known());
                }
                payload if depth == 0 => self.interface(payload)?,
                _ => {}
            }
        }
        Ok(())
    }

    /// What the outermost module or component imports and exports.
    fn interface(&mut self, payload: Payload<'_>) -> wasmparser::Result<()> {
        match payload {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    let import = import?;
                    if let TypeRef::Memory(memory) = import.ty {
                        self.memory = Some((memory.initial, memory.maximum));
                    }
                    self.imports.push((import.module.to_owned(), import.name.to_owned()));
                }
            }
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Func {
                        self.exports.push(export.name.to_owned());
                    }
                }
            }
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    self.imports.push((import?.name.name.to_owned(), String::new()));
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    self.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Who made it. A section that cannot be read is a comment that nobody can read.
    fn custom(&mut self, section: &KnownCustom<'_>) {
        let KnownCustom::Producers(fields) = section else { return };
        for field in fields.clone().into_iter().flatten() {
            for value in field.values.into_iter().flatten() {
                self.producers.insert((field.name.to_owned(), value.name.to_owned()), value.version.to_owned());
            }
        }
    }

    /// Which ABI it speaks.
    ///
    /// # Errors
    /// When it speaks none, with what was looked for.
    pub fn abi(&self) -> Result<Abi, ArtifactError> {
        let abi = if self.component { self.component_abi() } else { self.module_abi() };
        abi.ok_or_else(|| ArtifactError::NotAPlugin(self.why_not()))
    }

    fn module_abi(&self) -> Option<Abi> {
        let exports = |name: &str| self.exports.iter().any(|export| export == name);
        let proxy_wasm = [
            ("proxy_abi_version_0_2_1", ProxyWasm::V0_2_1),
            ("proxy_abi_version_0_2_0", ProxyWasm::V0_2_0),
            ("proxy_abi_version_0_1_0", ProxyWasm::V0_1_0),
        ];
        if self.world {
            return Some(Abi::Gofe);
        }
        if let Some((_, version)) = proxy_wasm.into_iter().find(|(name, _)| exports(name)) {
            return Some(Abi::ProxyWasm(version));
        }
        let imports = self.imports.iter().any(|(module, _)| module == "http_handler");
        (exports("handle_request") && (imports || exports("handle_response"))).then_some(Abi::HttpWasm)
    }

    fn component_abi(&self) -> Option<Abi> {
        let exports = |interface| self.exports.iter().any(|name| is_of(name, interface));
        let imports = |interface| self.imports.iter().any(|(name, _)| is_of(name, interface));
        if self.exports.iter().any(|name| name.starts_with("gofe:plugin/")) {
            return Some(Abi::Gofe);
        }
        let handler = "wasi:http/handler@0.3";
        match () {
            () if exports(handler) && imports(handler) => Some(Abi::WasiHttp(WasiHttp::Middleware)),
            () if exports(handler) => Some(Abi::WasiHttp(WasiHttp::Service)),
            () if exports("wasi:http/incoming-handler@0.2") => Some(Abi::WasiHttp(WasiHttp::Proxy)),
            () => None,
        }
    }

    fn why_not(&self) -> String {
        if self.component {
            return "it does not export gofe:plugin/lifecycle, nor a handler of wasi:http (0.2 or 0.3)".to_owned();
        }
        if let Some(version) = self.exports.iter().find_map(|name| name.strip_prefix("proxy_abi_version_")) {
            return format!("it speaks proxy-wasm {}; 0.1.0, 0.2.0 and 0.2.1 can be run", version.replace('_', "."));
        }
        "it does not carry the type section of gofe's world (build it with a gofe SDK), export a `proxy_abi_version_…` \
         (proxy-wasm), or export `handle_request` (http-wasm)"
            .to_owned()
    }
}

/// Whether a component's import or export is this interface, in a version that semver calls compatible: a release of the
/// same minor version.
pub(super) fn is_of(name: &str, interface: &str) -> bool {
    name.strip_prefix(interface).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::{Abi, ProxyWasm, Shape, is_of};

    fn abi(text: &str) -> Result<Abi, String> {
        let module = wat::parse_str(text).unwrap();
        Shape::read(&module).and_then(|shape| shape.abi()).map_err(|error| error.to_string())
    }

    #[test]
    fn abis_are_told_apart_by_what_modules_export_and_import() {
        assert_eq!(abi(r#"(module (func (export "proxy_abi_version_0_2_1")))"#), Ok(Abi::ProxyWasm(ProxyWasm::V0_2_1)));
        assert_eq!(abi(r#"(module (func (export "proxy_abi_version_0_1_0")))"#), Ok(Abi::ProxyWasm(ProxyWasm::V0_1_0)));
        let http_wasm = r#"(module (import "http_handler" "log" (func (param i32 i32 i32)))
            (func (export "handle_request") (result i64) i64.const 0))"#;
        assert_eq!(abi(http_wasm), Ok(Abi::HttpWasm));
        assert!(
            abi(r#"(module (func (export "proxy_abi_version_0_3_0")))"#).unwrap_err().contains("proxy-wasm 0.3.0;")
        );
        assert!(abi("(module)").unwrap_err().contains("handle_request"));
        assert!(abi("(component)").unwrap_err().contains("gofe:plugin/lifecycle"));
    }

    #[test]
    fn versions_of_interfaces_are_matched_by_semver() {
        assert!(is_of("wasi:http/handler@0.3.0", "wasi:http/handler@0.3"));
        assert!(is_of("wasi:http/handler@0.3.12", "wasi:http/handler@0.3"));
        assert!(!is_of("wasi:http/handler@0.30.1", "wasi:http/handler@0.3"));
        assert!(!is_of("wasi:http/handler@0.2.3", "wasi:http/handler@0.3"));
    }
}
