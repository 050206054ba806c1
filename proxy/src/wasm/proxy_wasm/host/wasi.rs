//! WASI preview 1, as far as the ABI has it: output, clocks, randomness and the environment that YAML gives. What a
//! language's runtime imports beyond that is there and answers that it cannot be had.

use std::sync::LazyLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use wasmtime::{ExternType, Linker, Module, Val, ValType};

use super::super::abi::Cx;
use super::super::data::Host;
use super::{log, memory, parts};

/// The names under which WASI preview 1 is imported.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];
/// The most bytes of randomness at a time, and the most pieces of one output.
const MAX_RANDOM: u32 = 64 << 10;
const MAX_PIECES: u32 = 1024;

/// `errno`.
const SUCCESS: u32 = 0;
const BADF: u32 = 8;
const FAULT: u32 = 21;
const INVAL: u32 = 28;
const NOSYS: i32 = 52;
const NOTSUP: u32 = 58;

/// Where the monotonic clock begins.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

pub(super) fn link(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    for wasi in MODULES {
        linker.func_wrap(wasi, "fd_write", |mut cx: Cx<'_>, fd: u32, pieces: u32, count: u32, written_at: u32| {
            errno(fd_write(&mut cx, fd, pieces, count, written_at))
        })?;
        linker.func_wrap(wasi, "clock_time_get", |mut cx: Cx<'_>, clock: u32, _precision: u64, time_at: u32| {
            errno(clock_time_get(&mut cx, clock, time_at))
        })?;
        linker.func_wrap(wasi, "random_get", |mut cx: Cx<'_>, at: u32, length: u32| {
            errno(random_get(&mut cx, at, length))
        })?;
        linker.func_wrap(wasi, "environ_sizes_get", |mut cx: Cx<'_>, count_at: u32, length_at: u32| {
            errno(environ_sizes_get(&mut cx, count_at, length_at))
        })?;
        linker.func_wrap(wasi, "environ_get", |mut cx: Cx<'_>, pointers_at: u32, at: u32| {
            errno(environ_get(&mut cx, pointers_at, at))
        })?;
        linker.func_wrap(wasi, "args_sizes_get", |mut cx: Cx<'_>, count_at: u32, length_at: u32| {
            errno(put(&mut cx, count_at, 0).and_then(|()| put(&mut cx, length_at, 0)))
        })?;
        linker.func_wrap(wasi, "args_get", |_: Cx<'_>, _: u32, _: u32| SUCCESS)?;
        linker.func_wrap(wasi, "proc_exit", |_: Cx<'_>, code: u32| -> wasmtime::Result<()> {
            wasmtime::bail!("it called proc_exit({code})")
        })?;
        linker.func_wrap(wasi, "sched_yield", |_: Cx<'_>| SUCCESS)?;
        linker.func_wrap(wasi, "clock_res_get", |mut cx: Cx<'_>, clock: u32, at: u32| {
            let known = if clock <= 1 { Ok(()) } else { Err(NOTSUP) };
            errno(known.and_then(|()| put_u64(&mut cx, at, 1)))
        })?;
    }
    link_runtime(linker, module)
}

/// What runtimes import beyond the ABI.
fn link_runtime(linker: &mut Linker<Host>, module: &Module) -> wasmtime::Result<()> {
    let env: Vec<_> =
        module.imports().filter(|import| import.module() == super::ENV).map(|i| i.name().to_owned()).collect();
    if env.iter().any(|name| name == "emscripten_notify_memory_growth") {
        linker.func_wrap(super::ENV, "emscripten_notify_memory_growth", |_: Cx<'_>, _: u32| {})?;
    }
    if env.iter().any(|name| name == "pthread_equal") {
        linker.func_wrap(super::ENV, "pthread_equal", |_: Cx<'_>, left: u32, right: u32| u32::from(left == right))?;
    }
    linker.allow_shadowing(false);
    for import in module.imports() {
        let (name, ExternType::Func(ty)) = (import.name(), import.ty()) else { continue };
        let known = |name| {
            matches!(
                name,
                "fd_write"
                    | "clock_time_get"
                    | "random_get"
                    | "environ_sizes_get"
                    | "environ_get"
                    | "args_sizes_get"
                    | "args_get"
                    | "proc_exit"
                    | "sched_yield"
                    | "clock_res_get"
            )
        };
        let number = ty.results().len() == 1 && ty.results().all(|result| matches!(result, ValType::I32));
        if !MODULES.contains(&import.module()) || known(name) || !number {
            continue;
        }
        linker.func_new(import.module(), name, ty.clone(), |_, _, results| {
            results[0] = Val::I32(NOSYS);
            Ok(())
        })?;
    }
    Ok(())
}

fn errno(result: Result<(), u32>) -> u32 {
    result.err().unwrap_or(SUCCESS)
}

fn put(cx: &mut Cx<'_>, at: u32, number: u32) -> Result<(), u32> {
    let (memory, _) = parts(cx).map_err(|_| FAULT)?;
    memory::write(memory, at, &number.to_le_bytes()).map_err(|_| FAULT)
}

fn put_u64(cx: &mut Cx<'_>, at: u32, number: u64) -> Result<(), u32> {
    let (memory, _) = parts(cx).map_err(|_| FAULT)?;
    memory::write(memory, at, &number.to_le_bytes()).map_err(|_| FAULT)
}

/// What is written to stdout and stderr becomes lines of the log.
fn fd_write(cx: &mut Cx<'_>, fd: u32, pieces: u32, count: u32, written_at: u32) -> Result<(), u32> {
    let level = match fd {
        1 => 2,
        2 => 4,
        _ => return Err(BADF),
    };
    if count > MAX_PIECES {
        return Err(INVAL);
    }
    let (memory, host) = parts(cx).map_err(|_| FAULT)?;
    let list = memory::read(memory, pieces, count * 8).map_err(|_| FAULT)?;
    let (mut text, mut written) = (Vec::new(), 0_u32);
    for piece in list.chunks_exact(8) {
        let (Some((at, rest)), true) = (piece.split_first_chunk::<4>(), piece.len() == 8) else { return Err(FAULT) };
        let length = rest.first_chunk::<4>().map_or(0, |length| u32::from_le_bytes(*length));
        let bytes = memory::read(memory, u32::from_le_bytes(*at), length).map_err(|_| FAULT)?;
        written = written.saturating_add(length);
        // Pieces may name the same bytes again and again: only what a line shows is kept.
        text.extend_from_slice(&bytes[..bytes.len().min(log::MAX_LINE.saturating_sub(text.len()))]);
    }
    for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        log::write(host, level, line);
    }
    put(cx, written_at, written)
}

fn clock_time_get(cx: &mut Cx<'_>, clock: u32, time_at: u32) -> Result<(), u32> {
    let time = match clock {
        0 => SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(),
        1 => START.elapsed(),
        _ => return Err(NOTSUP),
    };
    put_u64(cx, time_at, time.as_nanos() as u64)
}

fn random_get(cx: &mut Cx<'_>, at: u32, length: u32) -> Result<(), u32> {
    if length > MAX_RANDOM {
        return Err(INVAL);
    }
    let (memory, _) = parts(cx).map_err(|_| FAULT)?;
    let place = memory::slot(memory, at, length).map_err(|_| FAULT)?;
    getrandom::fill(place).map_err(|_| INVAL)
}

/// A variable as C has it, and how long that is.
fn variables(host: &Host) -> impl Iterator<Item = Vec<u8>> + '_ {
    let variables = host.env.vm.environment.iter();
    variables.map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat())
}

fn environ_sizes_get(cx: &mut Cx<'_>, count_at: u32, length_at: u32) -> Result<(), u32> {
    let (count, length) = variables(cx.data()).fold((0, 0), |(n, length), v| (n + 1, length + v.len() as u32));
    put(cx, count_at, count)?;
    put(cx, length_at, length)
}

fn environ_get(cx: &mut Cx<'_>, mut pointers_at: u32, mut at: u32) -> Result<(), u32> {
    let variables: Vec<_> = variables(cx.data()).collect();
    for variable in variables {
        put(cx, pointers_at, at)?;
        let (memory, _) = parts(cx).map_err(|_| FAULT)?;
        memory::write(memory, at, &variable).map_err(|_| FAULT)?;
        pointers_at = pointers_at.checked_add(4).ok_or(FAULT)?;
        at = at.checked_add(variable.len() as u32).ok_or(FAULT)?;
    }
    Ok(())
}
