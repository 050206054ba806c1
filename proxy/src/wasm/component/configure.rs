//! `lifecycle.configure`: a guest gets its configuration and says what it wants.

use std::time::Duration;

use wasmtime::component::{ComponentType, Lift, flags};

use super::super::memory;
use super::abi::{number_of, word};
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
pub(super) enum WitOverflow {
    #[component(name = "reject")]
    Reject,
    #[component(name = "pass")]
    Pass,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(record)]
pub(super) struct WitBuffer {
    limit: u64,
    overflow: WitOverflow,
}

#[derive(ComponentType, Lift, Clone, Copy)]
#[component(variant)]
pub(super) enum WitBodyPolicy {
    #[component(name = "none")]
    None,
    #[component(name = "stream")]
    Stream,
    #[component(name = "buffer")]
    Buffer(WitBuffer),
}

#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct WitInterest {
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
pub(super) struct WitConfigError {
    pointer: String,
    message: String,
}

/// The least time between two ticks.
const MIN_TICK: Duration = Duration::from_millis(1);

impl Plugin {
    /// The instance that checks the configuration, and what the plugin wants.
    pub(super) async fn first_instance(&self) -> Result<(Box<Instance>, Interest), LoadError> {
        let mut instance = self.instantiate().await?;
        match instance.configure(&self.code).await {
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

/// What `configure` returns.
pub(super) type Configured = Result<WitInterest, Vec<WitConfigError>>;

/// Reads what `configure` returned from a core module's memory, by the layout that the Canonical ABI gives to its type.
pub(super) fn read(memory: &[u8], at: u32) -> wasmtime::Result<Configured> {
    // The case of the result, then the interest or the list.
    let bytes = memory::read(memory, at, 8 + INTEREST_SIZE)?;
    if bytes[0] == 0 {
        return WitInterest::read(&bytes[8..]).map(Ok);
    }
    let (list, length) = (word(&bytes[8..]), word(&bytes[12..]));
    let size = length.checked_mul(16).ok_or_else(|| wasmtime::format_err!("the list of mistakes is too long"))?;
    let mistakes = memory::read(memory, list, size)?.chunks_exact(16);
    let text = |pair: &[u8]| -> wasmtime::Result<String> {
        Ok(String::from_utf8(memory::read(memory, word(pair), word(&pair[4..]))?.to_vec())?)
    };
    let mistake = |bytes: &[u8]| Ok(WitConfigError { pointer: text(bytes)?, message: text(&bytes[8..])? });
    mistakes.map(mistake).collect::<wasmtime::Result<_>>().map(Err)
}

/// The bytes of `types.interest`: flags, two policies of 24 bytes, a number.
const INTEREST_SIZE: u32 = 64;

impl WitBodyPolicy {
    fn read(bytes: &[u8]) -> wasmtime::Result<Self> {
        Ok(match bytes[0] {
            0 => Self::None,
            1 => Self::Stream,
            2 => Self::Buffer(WitBuffer {
                limit: number_of(&bytes[8..]),
                overflow: if bytes[16] == 0 { WitOverflow::Reject } else { WitOverflow::Pass },
            }),
            other => wasmtime::bail!("{other} is no body policy"),
        })
    }
}

impl WitInterest {
    fn read(bytes: &[u8]) -> wasmtime::Result<Self> {
        let all = [
            PhaseFlags::REQUEST_HEADERS,
            PhaseFlags::REQUEST_BODY,
            PhaseFlags::RESPONSE_HEADERS,
            PhaseFlags::RESPONSE_BODY,
            PhaseFlags::COMPLETE,
            PhaseFlags::TICK,
        ];
        let wanted = all.into_iter().enumerate().filter(|(bit, _)| bytes[0] & 1 << bit != 0);
        Ok(Self {
            phases: wanted.fold(PhaseFlags::default(), |phases, (_, flag)| phases | flag),
            request_body: WitBodyPolicy::read(&bytes[8..])?,
            response_body: WitBodyPolicy::read(&bytes[32..])?,
            tick_interval: number_of(&bytes[56..]),
        })
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
        let interest =
            Interest { phases, request_body: self.request_body.into(), response_body: self.response_body.into(), tick };
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
