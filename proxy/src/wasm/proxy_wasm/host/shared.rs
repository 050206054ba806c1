//! Data and queues that VMs share.

use bytes::Bytes;
use wasmtime::Linker;

use super::super::abi::{Answer, Cx, Status};
use super::super::data::Host;
use super::super::slot;
use super::{copied, function, give, is_place, memory, parts, put_u32};
use crate::store::SharedError;

pub(super) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    function!(linker, "proxy_get_shared_data", get_data, (
        key: u32, key_length: u32, pointer_at: u32, length_at: u32, version_at: u32
    ));
    function!(linker, "proxy_set_shared_data", set_data, (
        key: u32, key_length: u32, value: u32, value_length: u32, version: u32
    ));
    function!(linker, "proxy_register_shared_queue", register, (name: u32, name_length: u32, queue_at: u32));
    function!(linker, "proxy_resolve_shared_queue", resolve, (
        vm: u32, vm_length: u32, name: u32, name_length: u32, queue_at: u32
    ));
    function!(linker, "proxy_enqueue_shared_queue", enqueue, (queue: u32, value: u32, value_length: u32));
    function!(linker, "proxy_dequeue_shared_queue", dequeue, (queue: u32, pointer_at: u32, length_at: u32));
    Ok(())
}

fn status(error: SharedError) -> Status {
    match error {
        SharedError::Mismatch => Status::CasMismatch,
        SharedError::NoQueue => Status::NotFound,
        SharedError::Full => Status::InternalFailure,
    }
}

fn get_data(cx: &mut Cx<'_>, key: u32, key_length: u32, pointer_at: u32, length_at: u32, version_at: u32) -> Answer {
    let (memory, host) = parts(cx)?;
    let key = memory::read(memory, key, key_length)?;
    let (value, version) = host.env.shared.get(key).ok_or(Status::NotFound)?;
    is_place(cx, version_at)?;
    give(cx, &value, pointer_at, length_at)?;
    put_u32(cx, version_at, version)
}

fn set_data(cx: &mut Cx<'_>, key: u32, key_length: u32, value: u32, value_length: u32, version: u32) -> Answer {
    let (memory, host) = parts(cx)?;
    let key = memory::read(memory, key, key_length)?;
    let value = memory::read(memory, value, value_length)?;
    Ok(host.env.shared.set(key, Bytes::copy_from_slice(value), version).map_err(status)?)
}

fn register(cx: &mut Cx<'_>, name: u32, name_length: u32, queue_at: u32) -> Answer {
    is_place(cx, queue_at)?;
    let (memory, host) = parts(cx)?;
    let name = memory::read(memory, name, name_length)?;
    let listener = slot::listener(&host.slot);
    let queue = host.env.queues.register(host.env.vm.id.as_bytes(), name, listener).map_err(status)?;
    put_u32(cx, queue_at, queue)
}

fn resolve(cx: &mut Cx<'_>, vm: u32, vm_length: u32, name: u32, name_length: u32, queue_at: u32) -> Answer {
    is_place(cx, queue_at)?;
    let (memory, host) = parts(cx)?;
    let vm = memory::read(memory, vm, vm_length)?;
    let name = memory::read(memory, name, name_length)?;
    // Without an id it is the VM's own.
    let vm = if vm.is_empty() { host.env.vm.id.as_bytes() } else { vm };
    let queue = host.env.queues.resolve(vm, name).ok_or(Status::NotFound)?;
    put_u32(cx, queue_at, queue)
}

fn enqueue(cx: &mut Cx<'_>, queue: u32, value: u32, value_length: u32) -> Answer {
    let value = copied(cx, value, value_length)?;
    Ok(cx.data().env.queues.enqueue(queue, value.into()).map_err(status)?)
}

fn dequeue(cx: &mut Cx<'_>, queue: u32, pointer_at: u32, length_at: u32) -> Answer {
    is_place(cx, pointer_at)?;
    is_place(cx, length_at)?;
    let item = cx.data().env.queues.dequeue(queue).map_err(status)?.ok_or(Status::Empty)?;
    give(cx, &item, pointer_at, length_at)
}
