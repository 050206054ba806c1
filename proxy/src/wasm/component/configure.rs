//! `lifecycle.configure`: a guest gets its configuration and says what it wants.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift, flags};

use super::instance::Instance;
use super::{LoadError, Plugin};
use crate::chain::{BodyPolicy, Interest, Overflow, Phase, Phases};

flags! {
    PhaseFlags {
        #[component(name = "request-headers")]
        const REQUEST_HEADERS;
        #[component(name = "request-body")]
        const REQUEST_BODY;
        #[component(name = "response-headers")]
        const RESPONSE_HEADERS;
        #[component(name = "response-body")]
        const RESPONSE_BODY;
        #[component(name = "complete")]
        const COMPLETE;
        #[component(name = "tick")]
        const TICK;
    }
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
#[expect(dead_code, reason = "values come from the guest and are lifted by wasmtime")]
enum WitOverflow {
    #[component(name = "reject")]
    Reject,
    #[component(name = "pass")]
    Pass,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(record)]
struct WitBuffer {
    limit: u64,
    overflow: WitOverflow,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(variant)]
enum WitBodyPolicy {
    #[component(name = "none")]
    None,
    #[component(name = "stream")]
    Stream,
    #[component(name = "buffer")]
    Buffer(WitBuffer),
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct WitInterest {
    phases: PhaseFlags,
    #[component(name = "request-body")]
    request_body: WitBodyPolicy,
    #[component(name = "response-body")]
    response_body: WitBodyPolicy,
    #[component(name = "tick-interval")]
    tick_interval: u64,
}

#[derive(ComponentType, Lift)]
#[component(record)]
struct WitConfigError {
    pointer: String,
    message: String,
}

/// The least time between two ticks.
const MIN_TICK: Duration = Duration::from_millis(1);

impl Plugin {
    /// The instance that checks the configuration, and what the plugin wants.
    pub(super) async fn first_instance(&self) -> Result<(Box<Instance>, Interest), LoadError> {
        let mut instance = self.instantiate().await?;
        let Some(export) = &self.exports.configure else {
            return Err(LoadError::World("it does not export gofe:plugin/lifecycle".to_owned()));
        };
        let configured = instance.configure::<Result<WitInterest, Vec<WitConfigError>>>(export, &self.env.config).await;
        match configured {
            Ok(Ok(interest)) => Ok((instance, interest.checked()?)),
            Ok(Err(mistakes)) => {
                Err(LoadError::Configuration(mistakes.into_iter().map(|e| (e.pointer, e.message)).collect()))
            }
            Err(fault) => Err(LoadError::Failed(fault.message)),
        }
    }

    /// A further instance. What the plugin wants, the first one has said.
    pub(super) async fn new_instance(&self) -> Result<Box<Instance>, LoadError> {
        self.first_instance().await.map(|(instance, _)| instance)
    }
}

impl WitInterest {
    fn checked(self) -> Result<Interest, LoadError> {
        let wanted = |flag: PhaseFlags| (self.phases & flag) == flag;
        let flags = [
            (PhaseFlags::REQUEST_HEADERS, Phase::RequestHeaders),
            (PhaseFlags::REQUEST_BODY, Phase::RequestBody),
            (PhaseFlags::RESPONSE_HEADERS, Phase::ResponseHeaders),
            (PhaseFlags::RESPONSE_BODY, Phase::ResponseBody),
            (PhaseFlags::COMPLETE, Phase::Complete),
        ];
        let phases = flags.into_iter().filter(|(flag, _)| wanted(*flag));
        let phases = phases.fold(Phases::default(), |phases, (_, phase)| phases.with(phase));
        let tick = wanted(PhaseFlags::TICK).then(|| Duration::from_nanos(self.tick_interval).max(MIN_TICK));
        let interest = Interest {
            phases,
            request_body: self.request_body.into(),
            response_body: self.response_body.into(),
            tick,
            takes_bodies: false,
        };
        for (policy, phase) in
            [(interest.request_body, Phase::RequestBody), (interest.response_body, Phase::ResponseBody)]
        {
            if (policy == BodyPolicy::None) == phases.has(phase) {
                let reason = format!("`configure` names the phase {phase} and a body policy that do not go together");
                return Err(LoadError::World(reason));
            }
        }
        Ok(interest)
    }
}

impl From<WitBodyPolicy> for BodyPolicy {
    fn from(policy: WitBodyPolicy) -> Self {
        match policy {
            WitBodyPolicy::None => Self::None,
            WitBodyPolicy::Stream => Self::Stream,
            WitBodyPolicy::Buffer(WitBuffer { limit, overflow }) => Self::Buffer {
                limit,
                overflow: match overflow {
                    WitOverflow::Reject => Overflow::Reject,
                    WitOverflow::Pass => Overflow::Pass,
                },
            },
        }
    }
}
