//! Bodies.

use wasmtime::{Caller, Linker, bail};

use super::super::call::{BUFFER_REQUEST, BUFFER_RESPONSE, Side, Stop};
use super::super::guest::Guest;
use super::{MODULE, linear, memory, split};

/// In a result of `read_body`: nothing follows.
const END: u64 = 1 << 32;

pub(super) fn link(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    linker.func_wrap_async(
        MODULE,
        "read_body",
        |mut caller: Caller<'_, Guest>, (kind, at, room): (u32, u32, u32)| {
            Box::new(async move { read(&mut caller, side(kind)?, at, room).await })
        },
    )?;
    linker.func_wrap(MODULE, "write_body", |mut caller: Caller<'_, Guest>, kind: u32, at: u32, length: u32| {
        let side = side(kind)?;
        let (bytes, guest) = split(&mut caller)?;
        let bytes = memory::read(bytes, at, length)?;
        let limit = guest.env.limits.body;
        let call = guest.in_hand()?.1;
        if call.after_next && (side == Side::Request || !call.has(BUFFER_RESPONSE)) {
            bail!("after the next handler a body can be written only to a response, with the feature buffer_response");
        }
        let written = call.message(side).written.get_or_insert_default();
        if (written.len() + bytes.len()) as u64 > limit {
            bail!("the guest writes a body of more than its limit of {limit} bytes");
        }
        written.extend_from_slice(bytes);
        Ok(())
    })?;
    Ok(())
}

fn side(kind: u32) -> wasmtime::Result<Side> {
    match kind {
        0 => Ok(Side::Request),
        1 => Ok(Side::Response),
        _ => bail!("{kind} is not a kind of body"),
    }
}

/// Fills the guest's buffer, unless the body ends before.
async fn read(caller: &mut Caller<'_, Guest>, side: Side, at: u32, room: u32) -> wasmtime::Result<u64> {
    if room == 0 {
        bail!("read_body: a buffer without room can never see the end");
    }
    let linear = linear(caller)?;
    memory::read(linear.data(&*caller), at, room)?;
    let (_, call) = caller.data_mut().in_hand()?;
    let (before, feature) = match side {
        Side::Request => (!call.after_next, BUFFER_REQUEST),
        Side::Response => (!call.after_next, BUFFER_RESPONSE),
    };
    if !before && !call.has(feature) {
        bail!("after the next handler a body can be read only with the feature that buffers it");
    }
    if (side == Side::Request) != before {
        // A request's body has gone on, a response's is not there yet.
        return Ok(END);
    }
    let keep = side == Side::Response || call.has(feature);
    let mut filled = 0;
    while filled < room {
        let (bytes, guest) = linear.data_and_store_mut(&mut *caller);
        let limit = guest.env.limits.body;
        let call = &mut guest.call;
        let message = call.message(side);
        if !message.rest.is_empty() {
            let Some(chunk) = message.take((room - filled) as usize, keep, limit) else {
                call.stop = Some(Stop::TooLarge);
                bail!("the body is longer than what may be held back");
            };
            memory::write(bytes, at + filled, &chunk)?;
            filled += chunk.len() as u32;
        } else if message.ended {
            return Ok(END | u64::from(filled));
        } else {
            pull(guest, side).await?;
        }
    }
    Ok(u64::from(filled))
}

async fn pull(guest: &mut Guest, side: Side) -> wasmtime::Result<()> {
    let (state, call) = guest.in_hand()?;
    let pulled = call.message(side).pull(&mut state.message).await;
    if let Err(error) = pulled {
        call.stop = Some(Stop::Broken(error));
        bail!("the body broke off");
    }
    guest.waited();
    Ok(())
}
