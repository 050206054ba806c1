//! What a guest gives to gofe.

use std::borrow::Cow;

use wasmtime::component::{ComponentNamedList, ComponentType, Lift, WasmList, WasmStr};

use super::super::super::memory;
use super::super::host::LogLevel;
use super::super::host::outbound::OutgoingRequest;
use super::super::host::routing::RetryPolicy;
use super::Cx;
use super::flat::Flat;

/// A string in the guest's memory. Nobody copies it before somebody looks at it.
pub(in super::super) enum Text {
    Component(WasmStr),
    Core(Span),
}

/// Bytes in the guest's memory.
pub(in super::super) enum Octets {
    Component(WasmList<u8>),
    Core(Span),
}

/// A place in a core module's memory. It may lie anywhere until it is read.
#[derive(Clone, Copy)]
pub(in super::super) struct Span {
    at: u32,
    length: u32,
}

impl Span {
    fn new(at: u64, length: u64) -> Self {
        // The slots of a list's parameters are 32 bits wide.
        Self { at: at as u32, length: length as u32 }
    }

    fn of(self, memory: &[u8]) -> wasmtime::Result<&[u8]> {
        Ok(memory::read(memory, self.at, self.length)?)
    }
}

/// The guest's memory; empty while it begins.
fn of_guest<'a>(cx: &'a Cx<'_>) -> &'a [u8] {
    cx.data().core.as_ref().map_or(&[], |core| core.memory.data(cx))
}

impl Text {
    /// Its bytes, of which nobody has seen yet whether they are a string.
    pub(in super::super) fn bytes<'a>(&self, cx: &'a Cx<'_>) -> wasmtime::Result<Cow<'a, [u8]>> {
        match self {
            Self::Component(_) => Ok(match self.read(cx)? {
                Cow::Borrowed(text) => text.as_bytes().into(),
                Cow::Owned(text) => text.into_bytes().into(),
            }),
            Self::Core(span) => Ok(span.of(of_guest(cx))?.into()),
        }
    }

    /// The string.
    pub(in super::super) fn read<'a>(&self, cx: &'a Cx<'_>) -> wasmtime::Result<Cow<'a, str>> {
        match self {
            Self::Component(text) => text.to_str(cx),
            Self::Core(span) => Ok(std::str::from_utf8(span.of(of_guest(cx))?)?.into()),
        }
    }
}

impl Octets {
    /// The bytes.
    pub(in super::super) fn read<'a>(&self, cx: &'a Cx<'_>) -> wasmtime::Result<&'a [u8]> {
        match self {
            Self::Component(bytes) => Ok(bytes.as_le_slice(cx)),
            Self::Core(span) => span.of(of_guest(cx)),
        }
    }
}

/// A value that a guest gives.
pub(in super::super) trait Value: Sized + 'static {
    /// As wasmtime lifts it from a component.
    type Component: ComponentType + Lift + 'static;

    /// The value that wasmtime lifted.
    fn component(lifted: Self::Component) -> Self;
}

/// A value as a parameter of a function.
pub(super) trait Argument: Value {
    /// Takes the slots that it has.
    fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, cx: &Cx<'_>) -> wasmtime::Result<Self>;
}

/// A value in a list.
pub(in super::super) trait Item: Value {
    /// How many bytes it takes.
    const SIZE: usize;
    /// What its address is a multiple of.
    const ALIGN: usize;

    /// Reads it from its [`Self::SIZE`] bytes.
    fn load(bytes: &[u8]) -> wasmtime::Result<Self>;

    /// How many bytes elsewhere in the guest's memory it stands for.
    fn named(&self) -> usize;
}

/// All parameters of a function.
pub(in super::super) trait Params: Sized + 'static {
    /// As wasmtime lifts them from a component.
    type Component: ComponentNamedList + Lift + 'static;
    /// As a core module passes them.
    type Flat: Flat;

    /// The parameters that wasmtime lifted.
    fn component(lifted: Self::Component) -> Self;

    /// Reads them from their slots.
    fn read(slots: &[u64], cx: &Cx<'_>) -> wasmtime::Result<Self>;
}

fn next<'a>(slots: &mut impl Iterator<Item = &'a u64>) -> wasmtime::Result<u64> {
    slots
        .next()
        .copied()
        .ok_or_else(|| wasmtime::format_err!("a function of the contract has more parameters than slots"))
}

/// The unsigned number in the first four bytes.
pub(in super::super) fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}

/// The unsigned number in the first eight bytes.
pub(in super::super) fn number_of(bytes: &[u8]) -> u64 {
    bytes.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

macro_rules! spans {
    ($($type:ident of $component:ty;)+) => {$(
        impl Value for $type {
            type Component = $component;

            fn component(lifted: $component) -> Self {
                Self::Component(lifted)
            }
        }

        impl Argument for $type {
            fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, _: &Cx<'_>) -> wasmtime::Result<Self> {
                Ok(Self::Core(Span::new(next(slots)?, next(slots)?)))
            }
        }

        impl Item for $type {
            const SIZE: usize = 8;
            const ALIGN: usize = 4;

            fn load(bytes: &[u8]) -> wasmtime::Result<Self> {
                Ok(Self::Core(Span { at: word(bytes), length: word(&bytes[4..]) }))
            }

            fn named(&self) -> usize {
                match self {
                    Self::Component(_) => 0,
                    Self::Core(span) => span.length as usize,
                }
            }
        }
    )+};
}

spans! {
    Text of WasmStr;
    Octets of WasmList<u8>;
}

macro_rules! numbers {
    ($($type:ty: $slot:ident => $read:expr;)+) => {$(
        impl Value for $type {
            type Component = Self;

            fn component(lifted: Self) -> Self {
                lifted
            }
        }

        impl Argument for $type {
            fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, _: &Cx<'_>) -> wasmtime::Result<Self> {
                let $slot = next(slots)?;
                Ok($read)
            }
        }
    )+};
}

numbers! {
    u16: slot => slot as Self;
    u32: slot => slot as Self;
    u64: slot => slot;
    i64: slot => slot as Self;
    f64: slot => Self::from_bits(slot);
}

/// What a guest did that gave a list which only fits into its memory because its parts overlap.
const TOO_MUCH: &str = "a list has more in it than the guest has memory";

impl<T: Item> Value for Vec<T> {
    type Component = Vec<T::Component>;

    fn component(lifted: Self::Component) -> Self {
        lifted.into_iter().map(T::component).collect()
    }
}

impl<T: Item> Argument for Vec<T> {
    fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, cx: &Cx<'_>) -> wasmtime::Result<Self> {
        let (at, length) = (next(slots)? as u32, next(slots)? as u32);
        let size = length.checked_mul(T::SIZE as u32);
        let size = size.ok_or_else(|| wasmtime::format_err!("a list is longer than the guest's memory"))?;
        wasmtime::ensure!(at.is_multiple_of(T::ALIGN as u32), "a list is not aligned");
        let memory = of_guest(cx);
        let items = Span { at, length: size }.of(memory)?;
        // A list can name the same bytes again and again, so that it is short and a copy of it is not. Neither the list
        // nor what it names may be more than what there is, as for components (`set_hostcall_fuel`).
        wasmtime::ensure!(length as usize * size_of::<T>() <= memory.len(), TOO_MUCH);
        let items = items.chunks_exact(T::SIZE).map(T::load).collect::<wasmtime::Result<Vec<T>>>()?;
        wasmtime::ensure!(items.iter().map(T::named).sum::<usize>() <= memory.len(), TOO_MUCH);
        Ok(items)
    }
}

impl<T: Item> Value for Option<T> {
    type Component = Option<T::Component>;

    fn component(lifted: Self::Component) -> Self {
        lifted.map(T::component)
    }
}

impl<T: Item> Item for Option<T> {
    const SIZE: usize = T::ALIGN + T::SIZE;
    const ALIGN: usize = T::ALIGN;

    fn load(bytes: &[u8]) -> wasmtime::Result<Self> {
        is_some(bytes[0].into())?.then(|| T::load(&bytes[T::ALIGN..])).transpose()
    }

    fn named(&self) -> usize {
        self.as_ref().map_or(0, T::named)
    }
}

/// Which case of an option this number is.
fn is_some(case: u64) -> wasmtime::Result<bool> {
    match case {
        0 => Ok(false),
        1 => Ok(true),
        other => wasmtime::bail!("{other} is no case of an option"),
    }
}

impl<A: Item, B: Item> Value for (A, B) {
    type Component = (A::Component, B::Component);

    fn component((a, b): Self::Component) -> Self {
        (A::component(a), B::component(b))
    }
}

impl<A: Item, B: Item> Item for (A, B) {
    const SIZE: usize = (A::SIZE.next_multiple_of(B::ALIGN) + B::SIZE).next_multiple_of(Self::ALIGN);
    const ALIGN: usize = if A::ALIGN > B::ALIGN { A::ALIGN } else { B::ALIGN };

    fn load(bytes: &[u8]) -> wasmtime::Result<Self> {
        Ok((A::load(bytes)?, B::load(&bytes[A::SIZE.next_multiple_of(B::ALIGN)..])?))
    }

    fn named(&self) -> usize {
        self.0.named() + self.1.named()
    }
}

impl Value for LogLevel {
    type Component = Self;

    fn component(lifted: Self) -> Self {
        lifted
    }
}

impl Argument for LogLevel {
    fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, _: &Cx<'_>) -> wasmtime::Result<Self> {
        let number = next(slots)?;
        Self::of(number).ok_or_else(|| wasmtime::format_err!("{number} is no level of the log"))
    }
}

impl Value for OutgoingRequest {
    type Component = Self;

    fn component(lifted: Self) -> Self {
        lifted
    }
}

impl Argument for OutgoingRequest {
    fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, cx: &Cx<'_>) -> wasmtime::Result<Self> {
        let (method, uri) = (Text::take(slots, cx)?, Text::take(slots, cx)?);
        let headers = Vec::<(Text, Octets)>::take(slots, cx)?;
        let (body, timeout) = (Octets::take(slots, cx)?, u64::take(slots, cx)?);
        let owned = |(name, value): &(Text, Octets)| Ok((name.read(cx)?.into_owned(), value.read(cx)?.to_vec()));
        Ok(Self {
            method: method.read(cx)?.into_owned(),
            uri: uri.read(cx)?.into_owned(),
            headers: headers.iter().map(owned).collect::<wasmtime::Result<_>>()?,
            body: body.read(cx)?.to_vec(),
            timeout,
        })
    }
}

impl Value for Option<RetryPolicy> {
    type Component = Self;

    fn component(lifted: Self) -> Self {
        lifted
    }
}

impl Argument for Option<RetryPolicy> {
    fn take<'a>(slots: &mut impl Iterator<Item = &'a u64>, cx: &Cx<'_>) -> wasmtime::Result<Self> {
        // All slots are there, whatever the cases say.
        let (given, attempts) = (is_some(next(slots)?)?, u32::take(slots, cx)?);
        let (limited, per_try_timeout) = (is_some(next(slots)?)?, u64::take(slots, cx)?);
        let policy = RetryPolicy {
            attempts,
            per_try_timeout: limited.then_some(per_try_timeout),
            non_idempotent: next(slots)? != 0,
        };
        Ok(given.then_some(policy))
    }
}

impl Params for () {
    type Component = ();
    type Flat = ();

    fn component(_: ()) {}

    fn read(_: &[u64], _: &Cx<'_>) -> wasmtime::Result<()> {
        Ok(())
    }
}

macro_rules! params {
    ($(($($name:ident: $type:ty),+) => ($($slot:ty),+);)+) => {$(
        impl Params for ($($type,)*) {
            type Component = ($(<$type as Value>::Component,)+);
            type Flat = ($($slot,)+);

            fn component(($($name,)+): Self::Component) -> Self {
                ($(<$type as Value>::component($name),)+)
            }

            fn read(slots: &[u64], cx: &Cx<'_>) -> wasmtime::Result<Self> {
                let slots = &mut slots.iter();
                Ok(($(<$type as Argument>::take(slots, cx)?,)+))
            }
        }
    )+};
}

// The parameters that the contract's functions have, and the slots that they take: a list, a string or an option
// two and more, else one.
params! {
    (text: Text) => (u32, u32);
    (bytes: Octets) => (u32, u32);
    (number: u16) => (u32);
    (number: u32) => (u32);
    (number: u64) => (u64);
    (level: LogLevel) => (u32);
    (level: LogLevel, message: Text) => (u32, u32, u32);
    (offset: u64, length: u64) => (u64, u64);
    (name: Text, bytes: Octets) => (u32, u32, u32, u32);
    (key: Text, value: Octets, ttl: u64) => (u32, u32, u32, u32, u64);
    (key: Text, delta: i64, ttl: u64) => (u32, u32, i64, u64);
    (key: Text, tokens: u64, rate: u64, period: u64, burst: u64) => (u32, u32, u64, u64, u64, u64);
    (name: Text, labels: Vec<(Text, Text)>, delta: u64) => (u32, u32, u32, u32, u64);
    (name: Text, labels: Vec<(Text, Text)>, value: f64) => (u32, u32, u32, u32, f64);
    (labels: Vec<(Text, Text)>) => (u32, u32);
    (fields: Vec<(Text, Octets)>) => (u32, u32);
    (changes: Vec<(Text, Option<Octets>)>) => (u32, u32);
    (request: OutgoingRequest) => (u32, u32, u32, u32, u32, u32, u32, u32, u64);
    (policy: Option<RetryPolicy>) => (u32, u32, u32, u64, u32);
    (status: u16, fields: Vec<(Text, Octets)>, body: Octets) => (u32, u32, u32, u32, u32);
}
