//! The way from an exported function to a plugin's method. The export macro and the mock use it.

use crate::bindings::gofe::plugin::types::{self, Interest};
use crate::{Body, BodyPolicy, ConfigErrors, Flow, PhaseResult, Phases, Plugin, Request, Response, config, host};

/// Makes an instance and says which phases it wants.
pub fn configure<P: Plugin>(configuration: &str) -> Result<(P, Interest), ConfigErrors> {
    let plugin = P::new(config::parse(configuration)?)?;
    let interest = interest(&plugin);
    Ok((plugin, interest))
}

fn interest<P: Plugin>(plugin: &P) -> Interest {
    let options = plugin.options();
    let mut phases = P::PHASES.difference(options.without);
    if options.tick.is_zero() {
        phases.remove(Phases::TICK);
    }
    let request_body = body_policy(&mut phases, Phases::REQUEST_BODY, options.request_body);
    let response_body = body_policy(&mut phases, Phases::RESPONSE_BODY, options.response_body);
    let tick_interval = if phases.contains(Phases::TICK) { crate::clock::nanoseconds(options.tick) } else { 0 };
    Interest { phases, request_body, response_body, tick_interval }
}

/// A body phase and its policy go together: one without the other means neither.
fn body_policy(phases: &mut Phases, phase: Phases, policy: BodyPolicy) -> types::BodyPolicy {
    if policy == BodyPolicy::None || !phases.contains(phase) {
        phases.remove(phase);
        return types::BodyPolicy::None;
    }
    policy.into()
}

/// Runs the phase `request-headers`.
pub fn request_headers<P: Plugin>(plugin: &P) {
    settle(plugin.request_headers(&Request(())));
}

/// Runs the phase `request-body`.
pub fn request_body<P: Plugin>(plugin: &P, end_of_stream: bool) {
    settle(plugin.request_body(&Request(()), &Body { end_of_stream }));
}

/// Runs the phase `response-headers`.
pub fn response_headers<P: Plugin>(plugin: &P) {
    settle(plugin.response_headers(&Request(()), &Response(())));
}

/// Runs the phase `response-body`.
pub fn response_body<P: Plugin>(plugin: &P, end_of_stream: bool) {
    settle(plugin.response_body(&Request(()), &Response(()), &Body { end_of_stream }));
}

/// Runs the phase `complete`.
pub fn complete<P: Plugin>(plugin: &P) {
    plugin.complete(&Request(()), &Response(()));
}

fn settle(result: PhaseResult) {
    match result {
        Ok(Flow::Continue) => {}
        Ok(Flow::Reply(reply)) => {
            let headers: Vec<_> = reply.headers.iter().collect();
            if let Err(error) = host::reply::send(reply.status, &headers, &reply.body) {
                host::reply::fail(&format!("the plugin's answer was not accepted: {error}"));
            }
        }
        Err(error) => host::reply::fail(&error.to_string()),
    }
}

/// Sends panic messages to the proxy's log, because WebAssembly has no stderr that somebody reads.
#[cfg(target_family = "wasm")]
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| host::log::log(crate::log::Level::Error, &panic.to_string())));
}

/// Exports a plugin as the component of its crate. [`macro@crate::plugin`] calls it.
#[doc(hidden)]
#[macro_export]
macro_rules! __export {
    ($plugin:ty) => {
        #[allow(unsafe_code, unused_qualifications, reason = "the exports of a component are unsafe by nature")]
        const _: () = {
            use $crate::bindings::exports::gofe::plugin::{
                lifecycle, on_complete, on_request_body, on_request_headers, on_response_body, on_response_headers,
                on_tick,
            };

            ::std::thread_local! {
                static INSTANCE: ::std::cell::OnceCell<$plugin> = const { ::std::cell::OnceCell::new() };
            }

            fn with(phase: impl FnOnce(&$plugin)) {
                INSTANCE.with(|instance| instance.get().map(phase));
            }

            struct Component;

            impl lifecycle::Guest for Component {
                fn configure(configuration: String) -> Result<lifecycle::Interest, Vec<lifecycle::ConfigError>> {
                    $crate::guest::log_panics();
                    let (plugin, interest) = $crate::guest::configure::<$plugin>(&configuration)?;
                    if INSTANCE.with(|instance| instance.set(plugin).is_ok()) {
                        return Ok(interest);
                    }
                    Err($crate::ConfigErrors::new("", "this instance has been configured before").into())
                }
            }

            impl on_request_headers::Guest for Component {
                fn request_headers() {
                    with($crate::guest::request_headers);
                }
            }

            impl on_request_body::Guest for Component {
                fn request_body(end_of_stream: bool) {
                    with(|plugin| $crate::guest::request_body(plugin, end_of_stream));
                }
            }

            impl on_response_headers::Guest for Component {
                fn response_headers() {
                    with($crate::guest::response_headers);
                }
            }

            impl on_response_body::Guest for Component {
                fn response_body(end_of_stream: bool) {
                    with(|plugin| $crate::guest::response_body(plugin, end_of_stream));
                }
            }

            impl on_complete::Guest for Component {
                fn complete() {
                    with($crate::guest::complete);
                }
            }

            impl on_tick::Guest for Component {
                fn tick() {
                    with($crate::Plugin::tick);
                }
            }

    $crate::bindings::export!(Component with_types_in $crate::bindings);
        };
    };
}
