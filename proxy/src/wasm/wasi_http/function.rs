//! A component that answers requests: an edge function.

use std::time::Instant;

use http::Request;

use super::super::recognise::WasiHttp;
use super::super::{Abi, Artifact, Engine, Env, LoadError};
use super::body::{Inbound, Outbound};
use super::{Fleet, Terms, call, is_final};
use crate::chain::{Answering, Service};
use crate::config;
use crate::http::Body;
use crate::telemetry::PluginMetrics;

/// A component that answers requests.
pub struct EdgeFunction(Fleet);

impl EdgeFunction {
    /// Makes a component ready: links it, and makes an instance to see that it starts.
    ///
    /// # Errors
    /// When the code is of another ABI, asks for what there is not, or fails while it starts.
    pub async fn load(
        engine: &Engine,
        artifact: &Artifact,
        env: Env,
        component: &config::Component,
    ) -> Result<Self, LoadError> {
        match artifact.abi {
            Abi::WasiHttp(WasiHttp::Proxy | WasiHttp::Service) => {}
            abi @ Abi::WasiHttp(WasiHttp::Middleware) => {
                return Err(LoadError::abi(abi, "it hands requests on, so it is a plugin and no upstream"));
            }
            abi => return Err(LoadError::abi(abi, "an upstream's component is one of wasi:http")),
        }
        let terms = Terms {
            environment: component.environment.clone(),
            instances: component.instances,
            reuse: component.reuse.clone(),
        };
        Fleet::new(engine, artifact, env, terms).await.map(Self)
    }
}

impl Service for EdgeFunction {
    fn answer(&self, worker: usize, request: Request<Body>) -> Answering {
        let (call, hold, ticket) = call::begin(None);
        let method = request.method().clone();
        let request = request.map(|body| Inbound::over(body, call.clone()).0);
        let handling = self.0.handle(worker, call, ticket, request);
        let metrics = self.0.env.metrics.clone();
        Box::pin(async move {
            let begin = Instant::now();
            let answered = handling.await.and_then(|response| is_final(response, None));
            let answered = answered.inspect_err(|fault| metrics.fault(worker, fault.kind.name()));
            metrics.call(worker, PluginMetrics::REQUEST, begin.elapsed());
            answered.map(|response| Outbound::over(response, hold, &method))
        })
    }
}
