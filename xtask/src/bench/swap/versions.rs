//! New versions of a plugin, made of the guest `version`.

use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;

/// What differs from one version to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Change {
    /// A text in the plugin's data: each function is as before.
    Data,
    /// Every function begins with an instruction that the version before did not have: nothing compiled before is of use.
    Functions,
}

/// Found and replaced in the guest's data.
const MARK: &str = "version-00000000";

/// What the version with this number says in the header `x-version`.
pub(super) fn says(number: u32) -> String {
    format!("version-{number:08}")
}

/// The version with this number.
pub(super) fn make(module: &[u8], change: Change, number: u32) -> Result<Vec<u8>> {
    let mut module = module.to_vec();
    let at = module.windows(MARK.len()).position(|window| window == MARK.as_bytes());
    let at = at.context("the guest does not have its mark")?;
    module[at..at + MARK.len()].copy_from_slice(says(number).as_bytes());
    match change {
        Change::Data => Ok(module),
        Change::Functions => with_other_functions(&module, number),
    }
}

/// Puts `i32.const NUMBER; drop` at the beginning of every function of a core module.
fn with_other_functions(module: &[u8], number: u32) -> Result<Vec<u8>> {
    const CODE: u8 = 10;
    ensure!(module.starts_with(b"\0asm\x01\0\0\0"), "the guest is not a core module");
    let (mut made, mut rest) = (module[..8].to_vec(), Reader(&module[8..]));
    while let Some(id) = rest.byte() {
        let content = rest.sized()?;
        let content = if id == CODE { code(content, number)? } else { content.to_vec() };
        made.push(id);
        unsigned(&mut made, content.len());
        made.extend(content);
    }
    Ok(made)
}

/// The code section: a count, then each function with its size: its locals in groups, then its instructions.
fn code(section: &[u8], number: u32) -> Result<Vec<u8>> {
    let mut functions = Reader(section);
    let count = functions.number()?;
    let mut made = Vec::new();
    unsigned(&mut made, count);
    for _ in 0..count {
        let body = functions.sized()?;
        let mut instructions = Reader(body);
        for _ in 0..instructions.number()? {
            instructions.number()?;
            instructions.byte().context("a local without a type")?;
        }
        let (locals, instructions) = body.split_at(body.len() - instructions.0.len());
        let added = nothing(number);
        unsigned(&mut made, body.len() + added.len());
        made.extend([locals, &added, instructions].concat());
    }
    Ok(made)
}

/// `i32.const NUMBER; drop`. The numbers are below a million, so three bytes of seven bits hold them, with the sign.
fn nothing(number: u32) -> [u8; 5] {
    let seven = |shift: u32| (number >> shift & 0x7f) as u8;
    [0x41, seven(0) | 0x80, seven(7) | 0x80, seven(14) & 0x3f, 0x1a]
}

/// LEB128.
fn unsigned(to: &mut Vec<u8>, mut value: usize) {
    while value > 0x7f {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// What is still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// LEB128, of four bytes at most: no module here is larger.
    fn number(&mut self) -> Result<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte().context("the module ends in a number")?;
            value |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        bail!("a number of more than five bytes")
    }

    /// A size and so many bytes.
    fn sized(&mut self) -> Result<&'a [u8]> {
        let size = self.number()?;
        let (content, rest) = self.0.split_at_checked(size).context("the module ends in a section")?;
        self.0 = rest;
        Ok(content)
    }
}

#[cfg(test)]
mod tests {
    use super::{Change, MARK, make, nothing};

    /// A module with the mark in its data and a function with two locals that does nothing.
    fn module() -> Vec<u8> {
        let mut module = b"\0asm\x01\0\0\0".to_vec();
        module.extend([1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 5, 3, 1, 0, 1]);
        module.extend([10, 6, 1, 4, 1, 2, 0x7f, 0x0b]);
        module.extend([11, 22, 1, 0, 0x41, 0, 0x0b, 16]);
        module.extend(MARK.as_bytes());
        module
    }

    #[test]
    fn each_kind_of_version_says_its_number() {
        for change in [Change::Data, Change::Functions] {
            let made = make(&module(), change, 12).unwrap();
            assert!(made.ends_with(b"version-00000012"), "{change:?}");
        }
    }

    #[test]
    fn a_function_gets_its_instructions_behind_its_locals() {
        let made = make(&module(), Change::Functions, 12).unwrap();
        let code = [10, 11, 1, 9, 1, 2, 0x7f, 0x41, 12 | 0x80, 0x80, 0, 0x1a, 0x0b];
        assert!(made.windows(code.len()).any(|window| window == code), "{made:x?}");
        assert_eq!(nothing(300), [0x41, 0xac, 0x82, 0, 0x1a]);
    }
}
