//! `gofe:plugin/secrets`: secrets by name.

use wasmtime::component::{ComponentType, Lower};

use super::{Cx, Interface, Text, stored_enum};

#[derive(ComponentType, Lower, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
enum SecretError {
    #[component(name = "denied")]
    Denied,
}

stored_enum!(SecretError);

pub(super) fn link(interface: &mut Interface<'_>) -> wasmtime::Result<()> {
    interface.func("get", |cx: Cx<'_>, (name,): (Text,)| {
        let name = name.read(&cx)?;
        Ok(cx.data().env.secrets.get(&*name).map(|secret| Box::<[u8]>::from(&**secret)).ok_or(SecretError::Denied))
    })
}
