//! What gofe gives to a guest, where it lies in the guest's memory.

use std::sync::Arc;

use wasmtime::{AsContextMut, Caller, StoreContextMut};

use super::super::super::memory;
use super::super::guest::Guest;
use super::{Core, Cx};

/// A value that lies in the guest's memory.
pub(in super::super) trait Stored {
    /// How many bytes it takes, without what it points to.
    const SIZE: u32;
    /// What its address is a multiple of.
    const ALIGN: u32;

    /// Writes it at this address. It asks for memory in the same order each time.
    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()>;
}

/// Writes into a guest's memory.
pub(in super::super) struct Writer<'a> {
    cx: Cx<'a>,
    core: Arc<Core>,
    memory: Memory,
}

/// Where memory for lists comes from.
enum Memory {
    /// The guest's allocator, which is called when it is needed.
    Call,
    /// Nowhere yet: this is to find out how much is needed. Nothing is written.
    Count(Vec<Block>),
    /// These blocks, which the guest's allocator gave before.
    Given(std::vec::IntoIter<u32>),
}

#[derive(Clone, Copy)]
struct Block {
    align: u32,
    size: u32,
}

impl<'a> Writer<'a> {
    fn new(cx: Cx<'a>, memory: Memory) -> wasmtime::Result<Self> {
        let core = cx.data().core.clone();
        let core = core.ok_or_else(|| wasmtime::format_err!("the plugin calls gofe before it can be answered"))?;
        Ok(Self { cx, core, memory })
    }

    /// Writes bytes.
    #[inline]
    pub(in super::super) fn put(&mut self, at: u32, bytes: &[u8]) -> wasmtime::Result<()> {
        if matches!(self.memory, Memory::Count(_)) {
            return Ok(());
        }
        Ok(memory::write(self.core.memory.data_mut(&mut self.cx), at, bytes)?)
    }

    /// Memory for a list.
    fn block(&mut self, block: Block) -> wasmtime::Result<u32> {
        let at = match &mut self.memory {
            Memory::Call => self.core.realloc.call(&mut self.cx, (0, 0, block.align, block.size))?,
            Memory::Count(blocks) => {
                blocks.push(block);
                return Ok(0);
            }
            Memory::Given(blocks) => blocks.next().ok_or_else(outside)?,
        };
        wasmtime::ensure!(at.is_multiple_of(block.align), "the guest's allocator gave memory that is not aligned");
        Ok(at)
    }

    fn bytes(&mut self, at: u32, bytes: &[u8]) -> wasmtime::Result<()> {
        let list = self.block(Block { align: 1, size: length(bytes)? })?;
        self.put(list, bytes)?;
        self.list(at, list, length(bytes)?)
    }

    fn list(&mut self, at: u32, list: u32, length: u32) -> wasmtime::Result<()> {
        let mut pair = [0; 8];
        pair[..4].copy_from_slice(&list.to_le_bytes());
        pair[4..].copy_from_slice(&length.to_le_bytes());
        self.put(at, &pair)
    }
}

fn outside() -> wasmtime::Error {
    wasmtime::format_err!("a result lies outside of the guest's memory")
}

fn length<T>(items: &[T]) -> wasmtime::Result<u32> {
    Ok(u32::try_from(items.len())?)
}

/// Writes a result at the address that the guest gave.
#[inline]
pub(super) fn store<T: Stored>(result: &T, cx: Cx<'_>, at: u32) -> wasmtime::Result<()> {
    wasmtime::ensure!(at.is_multiple_of(T::ALIGN), "the address of a result is not aligned");
    result.store(&mut Writer::new(cx, Memory::Call)?, at)
}

/// The same for a guest that runs on a stack of its own: its allocator is called before, for all that is needed.
pub(super) async fn store_waiting<T: Stored>(
    result: &T,
    mut caller: Caller<'_, Guest>,
    at: u32,
) -> wasmtime::Result<()> {
    wasmtime::ensure!(at.is_multiple_of(T::ALIGN), "the address of a result is not aligned");
    let mut counting = Writer::new(caller.as_context_mut(), Memory::Count(Vec::new()))?;
    result.store(&mut counting, at)?;
    let core = counting.core;
    let Memory::Count(blocks) = counting.memory else { return Ok(()) };
    let mut given = Vec::with_capacity(blocks.len());
    for Block { align, size } in blocks {
        given.push(core.realloc.call_async(&mut caller, (0, 0, align, size)).await?);
    }
    let cx: StoreContextMut<'_, Guest> = caller.as_context_mut();
    result.store(&mut Writer::new(cx, Memory::Given(given.into_iter()))?, at)
}

macro_rules! numbers {
    ($($type:ty),+) => {$(
        impl Stored for $type {
            const SIZE: u32 = size_of::<$type>() as u32;
            const ALIGN: u32 = Self::SIZE;

            #[inline]
            fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
                out.put(at, &self.to_le_bytes())
            }
        }
    )+};
}

numbers!(u16, u32, u64);

macro_rules! texts {
    ($($type:ty),+) => {$(
        impl Stored for $type {
            const SIZE: u32 = 8;
            const ALIGN: u32 = 4;

            fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
                out.bytes(at, AsRef::<[u8]>::as_ref(&**self))
            }
        }
    )+};
}

texts!(Box<str>, Arc<str>, String, &'static str, Box<[u8]>);

impl Stored for () {
    const SIZE: u32 = 0;
    const ALIGN: u32 = 1;

    fn store(&self, _: &mut Writer<'_>, _: u32) -> wasmtime::Result<()> {
        Ok(())
    }
}

impl Stored for bool {
    const SIZE: u32 = 1;
    const ALIGN: u32 = 1;

    #[inline]
    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        out.put(at, &[u8::from(*self)])
    }
}

impl<T: Stored> Stored for Vec<T> {
    const SIZE: u32 = 8;
    const ALIGN: u32 = 4;

    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        let length = length(self)?;
        let size = length.checked_mul(T::SIZE).ok_or_else(outside)?;
        let list = out.block(Block { align: T::ALIGN, size })?;
        for (item, place) in self.iter().zip((0..).map(|nth: u32| list.wrapping_add(nth * T::SIZE))) {
            item.store(out, place)?;
        }
        out.list(at, list, length)
    }
}

impl<T: Stored> Stored for Option<T> {
    const SIZE: u32 = T::ALIGN + T::SIZE;
    const ALIGN: u32 = T::ALIGN;

    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        out.put(at, &[u8::from(self.is_some())])?;
        self.as_ref().map_or(Ok(()), |value| value.store(out, at.wrapping_add(T::ALIGN)))
    }
}

impl<T: Stored, E: Stored> Stored for Result<T, E> {
    const SIZE: u32 = (Self::ALIGN + if T::SIZE > E::SIZE { T::SIZE } else { E::SIZE }).next_multiple_of(Self::ALIGN);
    const ALIGN: u32 = if T::ALIGN > E::ALIGN { T::ALIGN } else { E::ALIGN };

    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        out.put(at, &[u8::from(self.is_err())])?;
        let payload = at.wrapping_add(Self::ALIGN);
        match self {
            Ok(value) => value.store(out, payload),
            Err(error) => error.store(out, payload),
        }
    }
}

impl<A: Stored, B: Stored> Stored for (A, B) {
    const SIZE: u32 = (A::SIZE.next_multiple_of(B::ALIGN) + B::SIZE).next_multiple_of(Self::ALIGN);
    const ALIGN: u32 = if A::ALIGN > B::ALIGN { A::ALIGN } else { B::ALIGN };

    fn store(&self, out: &mut Writer<'_>, at: u32) -> wasmtime::Result<()> {
        self.0.store(out, at)?;
        self.1.store(out, at.wrapping_add(A::SIZE.next_multiple_of(B::ALIGN)))
    }
}

/// Lets a record be stored, field by field in the order of the contract.
macro_rules! stored_record {
    ($record:ident { $($field:ident: $type:ty),+ $(,)? }) => {
        impl $crate::wasm::component::abi::Stored for $record {
            const ALIGN: u32 = {
                let mut most = 1;
                $(if <$type as $crate::wasm::component::abi::Stored>::ALIGN > most {
                    most = <$type as $crate::wasm::component::abi::Stored>::ALIGN;
                })+
                most
            };
            const SIZE: u32 = {
                let mut end = 0_u32;
                $(end = end.next_multiple_of(<$type as $crate::wasm::component::abi::Stored>::ALIGN)
                    + <$type as $crate::wasm::component::abi::Stored>::SIZE;)+
                end.next_multiple_of(Self::ALIGN)
            };

            fn store(&self, out: &mut $crate::wasm::component::abi::Writer<'_>, at: u32) -> wasmtime::Result<()> {
                let mut end = 0_u32;
                $(
                    let place = end.next_multiple_of(<$type as $crate::wasm::component::abi::Stored>::ALIGN);
                    $crate::wasm::component::abi::Stored::store(&self.$field, out, at.wrapping_add(place))?;
                    end = place + <$type as $crate::wasm::component::abi::Stored>::SIZE;
                )+
                let _ = end;
                Ok(())
            }
        }
    };
}

/// Lets an enumeration of at most 256 cases be stored.
macro_rules! stored_enum {
    ($enumeration:ident) => {
        impl $crate::wasm::component::abi::Stored for $enumeration {
            const SIZE: u32 = 1;
            const ALIGN: u32 = 1;

            fn store(&self, out: &mut $crate::wasm::component::abi::Writer<'_>, at: u32) -> wasmtime::Result<()> {
                out.put(at, &[*self as u8])
            }
        }
    };
}

pub(in super::super) use {stored_enum, stored_record};
